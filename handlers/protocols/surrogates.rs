//! Halves of surrogate pairs in JSON, such as `\ud83d`: RFC 8259 allows them, browsers write them
//! for half an emoji, and no UTF-8 text can hold them.

/// The escape of U+FFFD, as long as the escapes that it replaces.
const REPLACEMENT: &[u8] = br"\ufffd";

/// Returns the JSON with U+FFFD in place of each half of a surrogate pair; `None` if it has none.
pub(crate) fn replace_lone(json: &[u8]) -> Option<Vec<u8>> {
    let mut replaced = None;
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        let start = at + found;
        at = start + 2; // an escape has another character at least
        let Some(unit) = unit(&json[start..]) else { continue };
        at = start + REPLACEMENT.len();
        if is_high(unit) && json.get(at..).and_then(self::unit).is_some_and(is_low) {
            at += REPLACEMENT.len();
        } else if is_high(unit) || is_low(unit) {
            replaced.get_or_insert_with(|| json.to_vec())[start..at].copy_from_slice(REPLACEMENT);
        }
    }
    replaced
}

/// Returns the code unit of an escape with four digits.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(br"\u")?.get(..4)?;
    digits
        .iter()
        .try_fold(0, |unit, digit| Some(unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?))
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::replace_lone;

    #[test]
    fn only_halves_of_pairs_are_replaced() {
        for (json, expected) in [
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\uDE00 \ud83d\ude00""#, Some(r#""\ufffd \ud83d\ude00""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\ud83d\n\ude00""#, Some(r#""\ufffd\n\ufffd""#)),
            (r#""\\ud83d""#, None),
            (r#""\\\ud83d""#, Some(r#""\\\ufffd""#)),
            (r#""\ud83d\ude00 \u4f60 \" \\""#, None),
            (r#""\ud83"#, None),
            (r#""\u"#, None),
            ("\\", None),
            ("", None),
        ] {
            let replaced = replace_lone(json.as_bytes());
            assert_eq!(replaced.as_deref(), expected.map(str::as_bytes), "{json}");
        }
    }

    #[test]
    fn many_escapes_take_one_pass() {
        for piece in ["\\", "\\u", "\\ud83d", "\\\\", "\\ude00\\ud83d"] {
            let json = piece.repeat(100_000);
            assert!(replace_lone(json.as_bytes()).is_none_or(|replaced| replaced.len() == json.len()));
        }
    }
}
