//! Cookies: those of a request, and the attributes of those that a response sets (RFC 6265).

use std::time::Duration;

use cookie::{Cookie, SameSite};
use hyper::header::{COOKIE, HeaderMap};
use smallvec::SmallVec;

/// The most values of one cookie that are looked at.
const MAX_VALUES: usize = 4;

/// Returns the different values of the cookies of this name; none if there are more than a browser
/// has from any mistake. Other hosts of the domain can set cookies of the same name, and a browser
/// does not say which cookie is whose.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &str) -> SmallVec<[&'a str; MAX_VALUES]> {
    let mut values = SmallVec::new();
    for cookie in all(headers).filter(|cookie| cookie.name() == name) {
        let Some(value) = cookie.value_raw().filter(|value| !values.contains(value)) else { continue };
        if values.len() == MAX_VALUES {
            return SmallVec::new();
        }
        values.push(value);
    }
    values
}

/// Returns the value of the first cookie of this name.
pub(crate) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    all(headers).find(|cookie| cookie.name() == name)?.value_raw()
}

fn all(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(Cookie::split_parse).filter_map(Result::ok)
}

/// Gives a cookie the attributes of every cookie that is set: it is sent to all paths of the site,
/// but not with the forms of other sites, and over `https` only if it is set there. An age of zero
/// deletes it.
pub(crate) fn with_attributes(mut cookie: Cookie<'_>, age: Duration, secure: bool) -> Cookie<'_> {
    let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    cookie.set_path("/");
    cookie.set_max_age(cookie::time::Duration::seconds(seconds));
    cookie.set_same_site(SameSite::Lax);
    cookie.set_secure(secure);
    cookie
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_first_cookie_of_a_name_counts() {
        let mut headers = HeaderMap::new();
        for line in ["a=1;b=2; a=3", "nonsense; =4; c= 5 =6 ; d=\"7\"", "b=8; e=%20"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        for (name, expected) in [
            ("a", Some("1")),
            ("b", Some("2")),
            ("c", Some("5 =6")),
            ("d", Some("\"7\"")),
            ("e", Some("%20")),
            ("nonsense", None),
            ("", None),
            ("A", None),
        ] {
            assert_eq!(value(&headers, name), expected, "{name}");
        }
    }

    #[test]
    fn all_values_of_a_cookie_are_found_once_and_too_many_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; b=2; a=1; a=3"));
        headers.append(COOKIE, HeaderValue::from_static("a=4; a=5; c=6"));
        assert_eq!(values(&headers, "a")[..], ["1", "3", "4", "5"]);
        assert_eq!(values(&headers, "b")[..], ["2"]);
        assert!(values(&headers, "d").is_empty());
        headers.append(COOKIE, HeaderValue::from_static("a=7"));
        assert!(values(&headers, "a").is_empty());
    }

    #[test]
    fn secure_is_set_over_https_only() {
        let set = |secure| with_attributes(Cookie::new("a", "b"), Duration::from_secs(7), secure).to_string();
        assert_eq!(set(false), "a=b; SameSite=Lax; Path=/; Max-Age=7");
        assert_eq!(set(true), "a=b; SameSite=Lax; Secure; Path=/; Max-Age=7");
    }
}
