//! The rule for names of rooms, in requests and in settings.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// The rule in words, with a number before it or without one.
pub(crate) const RULE: &str = "letters, marks or digits of any script, `_`, `-`, `.` or single spaces between \
                               them, and neither `.` nor `..`";

/// Words of letters, marks and digits of any script, `_`, `-` and `.`, with single spaces between.
/// Invisible letters and marks are excluded: two rooms must not have one visible name.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[[\p{L}\p{M}\p{Nd}_.-]--\p{DI}]+(?: [[\p{L}\p{M}\p{Nd}_.-]--\p{DI}]+)*$")
        .expect("a constant pattern")
});

/// Returns the name in normal form, if it is valid.
pub(crate) fn normal(text: &str, max: usize) -> Option<String> {
    // Normalization shortens a text, but one of this length stays too long for a name.
    if text.len() > max.saturating_mul(16) {
        return None;
    }
    let name: String = text.nfc().collect();
    let allowed = name.chars().count() <= max && NAME.is_match(&name) && name != "." && name != "..";
    allowed.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn a_room_name_takes_letters_of_any_script_and_no_syntax() {
        for name in ["lobby", "聊天", "a-b", "a_b.c", "两 个", "हिन्दी", "٣", "..."] {
            assert_eq!(normal(name, 64).as_deref(), Some(name));
        }
        for name in [
            "lob\u{34f}by",
            "lobby\u{fe0f}",
            "lobby\u{180b}",
            "\u{3164}",
            "\u{115f}",
            "a\u{200d}b",
            "",
            ".",
            "..",
            " a",
            "a ",
            "a  b",
            "a/b",
            "a*b",
            "{a}",
            "a\nb",
            "a\u{0}",
            "a:b",
            "a?b",
            "½",
            "😀",
        ] {
            assert_eq!(normal(name, 64), None, "{name:?}");
        }
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_name_and_count_as_one() {
        assert_eq!(normal("cafe\u{301}", 4).as_deref(), Some("caf\u{e9}"));
        assert_eq!(normal(&"é".repeat(65), 64), None);
    }
}
