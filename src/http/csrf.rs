//! Django's CSRF token: the page and the cookie `csrftoken` carry the same secret, which a foreign
//! page can send along but not read (double submit; Django's `csrf` middleware).
//!
//! The origin check (`origin`) already rejects foreign pages by the headers of browsers. The token
//! covers requests with cookies that have none of `Sec-Fetch-Site`, `Origin` and `Referer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cookie::Cookie;
use hyper::header::HeaderMap;
use rand::distr::{Alphanumeric, SampleString};
use subtle::ConstantTimeEq;

use crate::http::response::Refusal;
use crate::wire::cookies;

const COOKIE_NAME: &str = "csrftoken";
const LENGTH: usize = 32;
/// One year, as Django has it.
const COOKIE_TTL: Duration = Duration::from_hours(24 * 7 * 52);

/// The visitor's secret, and whether the page used it.
pub(crate) struct CsrfToken {
    secret: String,
    used: Arc<AtomicBool>,
}

impl CsrfToken {
    /// Returns the secret in the visitor's cookie, or a new one.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let secret = cookie(headers)
            .map_or_else(|| Alphanumeric.sample_string(&mut rand::rng(), LENGTH), str::to_owned);
        Self { secret, used: Arc::default() }
    }

    /// Returns the function `csrf_token()` of templates.
    pub(crate) fn function(&self) -> minijinja::Value {
        let (secret, used) = (self.secret.clone(), Arc::clone(&self.used));
        minijinja::Value::from_function(move || {
            used.store(true, Ordering::Relaxed);
            secret.clone()
        })
    }

    /// Returns the cookie to set, if the page used the token.
    pub(crate) fn cookie(&self, secure: bool) -> Option<String> {
        self.used.load(Ordering::Relaxed).then(|| set(&self.secret, secure))
    }

    /// Returns a cookie with a new secret, for a client whose identity changes.
    pub(crate) fn fresh(secure: bool) -> String {
        set(&Alphanumeric.sample_string(&mut rand::rng(), LENGTH), secure)
    }

    /// Checks that the token sent along is that of the cookie.
    ///
    /// # Errors
    /// Returns 403 when it is not, or when there is no cookie.
    pub(crate) fn check(headers: &HeaderMap, sent: &str) -> Result<(), Refusal> {
        let same = cookie(headers).is_some_and(|secret| secret.as_bytes().ct_eq(sent.as_bytes()).into());
        if same {
            return Ok(());
        }
        let refusal = Refusal::forbidden(
            "`csrfmiddlewaretoken` (or `X-CSRFToken`): expected the value of the cookie `csrftoken`",
        );
        Err(refusal.message_key("stale_form"))
    }
}

/// Formats the cookie. Scripts of the page read it.
fn set(secret: &str, secure: bool) -> String {
    cookies::with_attributes(Cookie::new(COOKIE_NAME, secret.to_owned()), COOKIE_TTL, secure).to_string()
}

/// Returns the secret in the cookie, if it has the right form.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    cookies::value(headers, COOKIE_NAME)
        .filter(|secret| secret.len() == LENGTH && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
