//! Invariants of the redirect targets in forms and links.

use crate::web::safe_redirect::SafeRedirect;

/// Checks a redirect target.
pub(crate) fn safe_redirect(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let next = SafeRedirect::parse(text);
    let path = next.path();
    assert!(path == text || path == "/chat/", "{path:?} is not what was asked for");
    assert_eq!(SafeRedirect::parse(path).path(), path);
    // As browsers read it: without tabs and line breaks, `\\` as `/`, relative to a page of this
    // host.
    let seen: String = path.chars().filter(|char| !"\t\r\n".contains(*char)).collect();
    let seen = seen.trim_matches(|char: char| char <= ' ').replace('\\', "/");
    assert!(seen.starts_with('/') && !seen.starts_with("//"), "{path:?} leads to another host");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?} is no header");
}
