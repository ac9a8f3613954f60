//! Cookies of guests: arbitrary ones, and those with a valid signature.

use std::sync::LazyLock;

use cookie::{Cookie, CookieJar, Key};

use crate::auth::guests::{Guest, SIGNED};
use crate::auth::usernames::Username;

static KEY: LazyLock<Key> = LazyLock::new(|| Key::derive_from(b"a secret of more than thirty-two bytes"));

/// Parses the value of a cookie.
pub fn guest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_eq!(Guest::from_cookie(text, &KEY), None, "only our key signs");
    let signed = signed(text);
    if let Some(guest) = Guest::from_cookie(&signed, &KEY) {
        assert!(guest.id.len() == 16 && guest.id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{guest:?}");
        assert!(guest.name().starts_with('~'), "{guest:?}");
        is_known_again(&guest);
        // One flipped bit invalidates the signature.
        let mut other = signed.into_bytes();
        let place = usize::from(bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte))) % other.len();
        other[place] ^= 1;
        let other = String::from_utf8_lossy(&other);
        assert_eq!(Guest::from_cookie(&other, &KEY), None, "{other} is not signed");
    }
    is_known_again(&Guest { nickname: Username::parse(text), ..Guest::new() });
}

fn signed(value: &str) -> String {
    let mut jar = CookieJar::new();
    jar.signed_mut(&KEY).add(Cookie::new(SIGNED, value.to_owned()));
    jar.get(SIGNED).map(|cookie| cookie.value().to_owned()).unwrap_or_default()
}

fn is_known_again(guest: &Guest) {
    let set = guest.cookie("guest", &KEY, true);
    assert!(set.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{set} is a header");
    let value = set.split_once('=').and_then(|(_, rest)| rest.split(';').next()).unwrap_or_default();
    assert_eq!(Guest::from_cookie(value, &KEY).as_ref(), Some(guest), "{set}");
}
