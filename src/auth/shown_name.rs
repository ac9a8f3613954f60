//! The names under which users of other sites are shown.
//!
//! Such a name identifies no user and need not be unique: the id does. It is taken from a token as
//! it is, but for what could change the text around it or pass for a name of another kind.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use crate::auth::usernames;

/// The maximum length of a name without its mark, in characters.
const MAX_NAME_CHARS: usize = 64;
/// The most bytes of a text that are looked at. Composing turns several characters into one.
const MAX_READ_BYTES: usize = MAX_NAME_CHARS * 16;
/// What separates a name from its mark. It is in no username.
const MARK: char = '·';
/// The digits of the id in a mark.
const MARK_DIGITS: usize = 4;
/// The separator of words. Members of a group are separated by spaces.
const WORD_SEPARATOR: &str = "\u{a0}";

/// Control and format characters (bidirectional ones among them), unassigned and invisible ones.
static INVISIBLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{C}\p{DI}]+").expect("a constant pattern"));
/// What names of guests and of API keys, and addresses of users begin with; marks without a letter.
static PREFIX: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[~#@\s\p{M}]+").expect("a constant pattern"));

/// Returns the name that is shown for a text: in normal form C, of at most 64 characters, without
/// characters that are invisible or change the direction of text, and without the `~`, `#` or `@`
/// that begin other names. `None` if nothing remains.
pub(crate) fn shown(text: &str) -> Option<String> {
    let text = &text[..text.floor_char_boundary(MAX_READ_BYTES)];
    let spaced = text.replace(|char: char| char.is_whitespace() || char == '\u{2800}', " ");
    let visible = INVISIBLE.replace_all(&spaced, "");
    let bare = PREFIX.replace(&visible, "");
    let words: Vec<&str> = bare.split_whitespace().collect();
    let name: String = words.join(WORD_SEPARATOR).nfc().take(MAX_NAME_CHARS).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns a name with a mark of its user's id, as a look-alike of another one.
pub(crate) fn marked(name: &str, id: &str) -> String {
    format!("{name}{MARK}{}", &id[..MARK_DIGITS.min(id.len())])
}

/// Returns whether a name suggests a role of the site, or looks like a name with a mark.
pub(crate) fn is_misleading(name: &str) -> bool {
    usernames::has_reserved_skeleton(name)
        || name.contains(MARK)
        || usernames::skeleton_of(name).contains(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_name_keeps_the_letters_and_changes_no_text_around_it() {
        for (text, name) in [
            ("alice", Some("alice")),
            ("  Alice \t Liddell\r\n", Some("Alice\u{a0}Liddell")),
            ("cafe\u{301}", Some("caf\u{e9}")),
            ("Nguyễn Văn A", Some("Nguyễn\u{a0}Văn\u{a0}A")),
            ("<b>\"x\"</b> & {y}: /z", Some("<b>\"x\"</b>\u{a0}&\u{a0}{y}:\u{a0}/z")),
            ("a\u{202e}b\u{2066}c\u{200d}\u{feff}\u{ad}", Some("abc")),
            ("a\0b\u{1b}[31m", Some("ab[31m")),
            ("a\u{2028}b", Some("a\u{a0}b")),
            ("~bob", Some("bob")),
            ("# ~@billing", Some("billing")),
            ("\u{200b}~\u{202e}#bob", Some("bob")),
            ("\u{301}a", Some("a")),
            ("", None),
            (" \u{a0}\u{2800}\u{3000}", None),
            ("\u{202e}\0", None),
            ("~#@", None),
        ] {
            assert_eq!(shown(text).as_deref(), name, "{text:?}");
        }
        for long in ["x".repeat(10_000), "字 ".repeat(5_000), "e\u{301}".repeat(5_000)] {
            let name = shown(&long).expect("a name");
            assert!((60..=MAX_NAME_CHARS).contains(&name.chars().count()), "{name}");
        }
    }

    #[test]
    fn a_shown_name_is_its_own_shown_name() {
        for text in ["alice", "Alice Liddell", "# a  b", "cafe\u{301}", &"字 ".repeat(50)] {
            let name = shown(text).expect("a name");
            assert_eq!(shown(&name), Some(name.clone()), "{text:?}");
        }
    }

    #[test]
    fn names_of_roles_and_names_with_a_mark_mislead() {
        for name in ["admin", "\u{430}dmin", "Moderator", "alice·3f2a", "alice\u{2022}3f2a"] {
            assert!(is_misleading(name), "{name}");
        }
        assert!(!is_misleading("alice") && !is_misleading("Alice\u{a0}Liddell"));
        assert_eq!(marked("alice", "3f2a90badcafe012"), "alice·3f2a");
    }
}
