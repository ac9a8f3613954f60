//! Invariants of room names.

use unicode_normalization::is_nfc;

use crate::room_name::normal;

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 64;

/// Checks a name as a user types it.
pub(crate) fn room_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(name) = normal(text, MAX_NAME_CHARS) else { return };
    assert_eq!(normal(&name, MAX_NAME_CHARS).as_ref(), Some(&name), "a name is its own name");
    assert!(is_nfc(&name) && (1..=MAX_NAME_CHARS).contains(&name.chars().count()), "{name:?}");
    // Characters with a meaning in paths, URLs, HTML, headers, and Redis' keys and patterns.
    let foreign = |char: char| char.is_control() || "/\\?#%:;,\"'`<>&*[]{}()|^$@!+=~\u{feff}".contains(char);
    assert!(!name.contains(foreign), "{name:?}");
    assert!(!["", ".", ".."].contains(&&*name) && name.trim() == name && !name.contains("  "), "{name:?}");
}
