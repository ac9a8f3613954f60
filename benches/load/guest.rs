//! Guests as the nodes of a run know them: by a cookie that is signed with these nodes' secret.

use cookie::{Cookie, CookieJar, Key};

/// The secret of all nodes that are started here.
pub(crate) const SECRET: &str = "of every node that this program starts, and of no other";

/// The cookie of the guest with this number.
pub(crate) fn cookie(number: usize) -> String {
    const NAME: &str = "parlor_guest";
    let mut jar = CookieJar::new();
    jar.signed_mut(&Key::derive_from(SECRET.as_bytes())).add(Cookie::new(NAME, format!("{number:016x}.")));
    jar.get(NAME).map(ToString::to_string).unwrap_or_default()
}
