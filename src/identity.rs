//! Who a client is: so far a guest, known by a cookie that only this guest's browser has.
//!
//! The cookie is the secret and the user's id is made from it, so that everybody may see the id and nobody can speak
//! under it. A client without the cookie is somebody new each time.

#[expect(dead_code, reason = "accounts will use it")]
pub(crate) mod password;
#[cfg_attr(not(test), expect(dead_code, reason = "tokens will be looked at where identities are decided"))]
pub(crate) mod token;

use std::sync::Arc;

use hyper::header::HeaderMap;
use sha2::{Digest, Sha256};

use crate::event::Event;
use crate::headers;
use crate::layer::Key;

const COOKIE_NAME: &str = "parlor_guest";
const SECRET_LENGTH: usize = 32;
/// Half of it would do to tell users apart.
const ID_BYTES: usize = 8;

/// Who a client is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// 16 hexadecimal digits, for everybody to see.
    pub(crate) user: Arc<str>,
    /// It will be the same when the client comes back.
    pub(crate) known: bool,
}

impl Identity {
    /// Whoever sent these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match cookie(headers) {
            Some(secret) => Self { user: id(secret).into(), known: true },
            None => Self { user: format!("{:016x}", rand::random::<u64>()).into(), known: false },
        }
    }

    /// The event as this client's, and the key under which it is known if the client has a name for it. Clients that
    /// nobody will know again share theirs.
    pub(crate) fn sign(&self, event: &Event, name: Option<&str>) -> (Event, Option<Key>) {
        let name =
            name.map(|name| if self.known { [&*self.user, ":", name].concat() } else { name.to_owned() });
        let key = name.map(|name| Key::new(name, event));
        (event.and("user", &self.user), key)
    }

    /// A cookie for somebody new, for a year.
    pub(crate) fn cookie(headers: &HeaderMap) -> Option<String> {
        if cookie(headers).is_some() {
            return None;
        }
        let secret = rand::random::<u128>();
        Some(format!("{COOKIE_NAME}={secret:032x}; Max-Age=31449600; Path=/; HttpOnly; SameSite=Lax"))
    }
}

fn id(secret: &str) -> String {
    Sha256::digest(secret)
        .iter()
        .take(ID_BYTES)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The secret in the cookie, if it looks like one of ours.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers::cookie(headers, COOKIE_NAME)
        .filter(|secret| secret.len() == SECRET_LENGTH && secret.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
