//! Guests of a run: each has a cookie signed with the secret of the nodes.

use cookie::{Cookie, CookieJar, Key};

/// The secret shared by all nodes of a run.
pub(crate) const SECRET: &str = "of every node that this program starts, and of no other";

/// Returns the cookie of the guest with this number.
pub(crate) fn cookie(number: usize) -> String {
    const NAME: &str = "parlor_guest";
    let mut jar = CookieJar::new();
    jar.signed_mut(&Key::derive_from(SECRET.as_bytes())).add(Cookie::new(NAME, format!("{number:016x}.")));
    jar.get(NAME).map(ToString::to_string).unwrap_or_default()
}
