//! Usernames, and which of them are confusable.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// The maximum length of a name, in characters.
pub(crate) const LONGEST: usize = 32;

/// The error text for a name that breaks the rule.
pub(crate) const RULE: &str = "expected a name of 1 to 32 letters, marks or digits of any script, `_`, `-` or `.`, with a \
                               letter or digit first";

/// Names that suggest a role of the site. Operators can add accounts with them.
const RESERVED: [&str; 13] = [
    "admin",
    "administrator",
    "anonymous",
    "moderator",
    "operator",
    "root",
    "security",
    "server",
    "staff",
    "support",
    "sysadmin",
    "system",
    "webmaster",
];

/// A letter or digit of any script, then letters, marks, digits, `_`, `.` and `-`. Excludes spaces,
/// bidirectional controls, invisible letters and marks, and `~` and `#`, which start names of
/// guests and API keys.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[[\p{L}\p{Nd}]--\p{DI}][[\p{L}\p{M}\p{Nd}_.-]--\p{DI}]*$").expect("a constant pattern")
});

/// A valid username, in Unicode's normalization form C.
///
/// # Examples
/// ```
/// use parlor::Username;
///
/// assert_eq!(Username::parse(" alice ").unwrap().as_str(), "alice");
/// assert_eq!(Username::parse("李雷").unwrap().as_str(), "李雷");
/// for text in ["", "two words", "~guest", "#program", "a\u{202e}b"] {
///     assert_eq!(Username::parse(text), None, "{text:?}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Parses a name; `None` if it breaks the rule.
    pub fn parse(text: &str) -> Option<Self> {
        // Composing turns several characters into one. No text of this length composes to a valid
        // name.
        if text.len() > LONGEST * 16 {
            return None;
        }
        let name: String = text.trim().nfc().collect();
        (name.chars().count() <= LONGEST && NAME.is_match(&name)).then_some(Self(name))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the skeleton, equal for all confusable names (UTS #39, section 4, on the folded
    /// name).
    pub(crate) fn skeleton(&self) -> String {
        skeleton_of(&self.0)
    }

    /// Returns whether the name suggests a role of the site, or looks like a name that does.
    pub(crate) fn is_reserved(&self) -> bool {
        has_reserved_skeleton(&self.0)
    }

    /// Returns the skeleton of the name as displayed, without folding: a capital can resemble a
    /// letter that its small form does not (`I` and `l`, the Cyrillic `В` and `B`).
    pub(crate) fn visual_skeleton(&self) -> String {
        visual_skeleton_of(&self.0)
    }
}

/// Returns the [`skeleton`](Username::skeleton) of any text. It is in lower case.
pub(crate) fn skeleton_of(text: &str) -> String {
    // Decomposes before folding: the capital of a combining mark can be a letter (Unicode, D145).
    let text: String = folded(text.nfkd()).nfkd().collect();
    folded(skeleton(&text)).collect()
}

/// Returns the [`visual_skeleton`](Username::visual_skeleton) of any text.
pub(crate) fn visual_skeleton_of(text: &str) -> String {
    let text: String = text.nfkd().collect();
    folded(skeleton(&text)).collect()
}

/// Returns whether a text [suggests a role](Username::is_reserved) of the site.
pub(crate) fn has_reserved_skeleton(text: &str) -> bool {
    static SKELETONS: LazyLock<HashSet<String>> =
        LazyLock::new(|| RESERVED.iter().map(|name| skeleton_of(name)).collect());
    SKELETONS.contains(&skeleton_of(text))
}

/// Folds case by way of capitals, as a letter may have two small forms (σ and ς).
fn folded(letters: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    letters.flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_takes_letters_of_any_script_and_no_syntax() {
        for name in ["alice", "聊天", "a-b", "a_b.c", "हिन्दी", "٣", "x"] {
            assert_eq!(Username::parse(name).map(|name| name.0).as_deref(), Some(name));
        }
        let long = "x".repeat(33);
        for name in [
            "",
            " ",
            "a b",
            "~a",
            "#a",
            "@a",
            ".a",
            "-a",
            "_a",
            "a/b",
            "a\u{202e}b",
            "a\u{200d}b",
            "\u{3164}",
            "\u{1160}a",
            "a\u{fe0f}",
            "\u{2066}a",
            "a\nb",
            "a\0",
            "a:b",
            "a*",
            "<b>",
            "\u{301}a",
            &long,
        ] {
            assert_eq!(Username::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn names_of_roles_are_reserved_and_so_are_those_that_look_like_them() {
        let is_reserved = |name: &str| Username::parse(name).expect("a name").is_reserved();
        for name in ["admin", "Admin", "\u{430}dmin", "adrnin", "ROOT", "r00t", "moderator", "System"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["adam", "administer", "rooster", "alice", "moderato"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn names_that_look_alike_are_one() {
        let skeleton = |name: &str| Username::parse(name).expect("a name").skeleton();
        for (one, other) in [
            ("alice", "Alice"),
            ("alice", "\u{430}lice"),
            ("ｂｏｂ", "bob"),
            ("PAYPAL", "paypa1"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("ΟΔΟΣ", "οδος"),
            ("Ά\u{360}\u{345}", "ᾴ\u{360}"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} and {other}");
        }
        assert_ne!(skeleton("alice"), skeleton("alicia"));
        let look = |name: &str| Username::parse(name).expect("a name").visual_skeleton();
        for (one, other) in
            [("alice", "aIice"), ("Bob", "\u{412}ob"), ("Henry", "\u{41d}enry"), ("BILL", "BlLL")]
        {
            assert_eq!(look(one), look(other), "{one} and {other}");
        }
        assert_ne!(look("mail"), look("mall"));
    }
}
