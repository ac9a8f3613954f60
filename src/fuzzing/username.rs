//! Usernames.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::auth::usernames::{LONGEST, Username};

/// Parses a name.
pub fn username(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(name) = Username::parse(text) else { return };
    assert_eq!(Username::parse(name.as_str()).as_ref(), Some(&name), "a name is its own name");
    let is_short = (1..=LONGEST).contains(&name.as_str().chars().count());
    assert!(is_nfc(name.as_str()) && is_short, "{name:?}");
    // Characters with a meaning in paths, URLs, HTML, headers and logs, and prefixes of other
    // names.
    let foreign = |char: char| {
        char.is_control()
            || char.is_whitespace()
            || "/\\?#%:;,\"'`<>&*[]{}()|^$@!+=~\u{feff}\u{200d}".contains(char)
    };
    assert!(!name.as_str().contains(foreign), "{name:?}");
    // All normal forms of a name have one skeleton.
    let skeleton = name.skeleton();
    assert!(!skeleton.is_empty(), "{name:?}");
    // The capital of a combining mark can be a letter, so letters are decomposed before folding.
    let apart: String = name.as_str().nfd().collect();
    let written = [apart.to_lowercase(), apart.to_uppercase(), apart.nfkc().collect()];
    for other in written.iter().filter_map(|text| Username::parse(text)) {
        assert_eq!(other.skeleton(), skeleton, "{other:?} looks like {name:?}");
    }
}
