//! What people call a room.

use unicode_normalization::is_nfc;

use crate::rooms::name::normal;

/// Longest name, in characters.
const MAX: usize = 64;

/// A room as people write it.
pub(crate) fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(name) = normal(text, MAX) else { return };
    assert_eq!(normal(&name, MAX).as_ref(), Some(&name), "a name is its own name");
    assert!(is_nfc(&name) && (1..=MAX).contains(&name.chars().count()), "{name:?}");
    // What means something in paths, URLs, HTML, headers, Redis' keys and its patterns.
    let foreign = |char: char| char.is_control() || "/\\?#%:;,\"'`<>&*[]{}()|^$@!+=~\u{feff}".contains(char);
    assert!(!name.contains(foreign), "{name:?}");
    assert!(!["", ".", ".."].contains(&&*name) && name.trim() == name && !name.contains("  "), "{name:?}");
}
