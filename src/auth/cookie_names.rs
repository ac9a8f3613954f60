//! The names of the cookies that identify clients.

use crate::config::app_name::AppName;

/// The prefix of cookies that a browser takes from this host alone, over `https` (RFC 6265bis,
/// section 4.1.3.2): no other host of the domain can set them.
const HOST_PREFIX: &str = "__Host-";

/// The names of the cookies that identify clients. They begin with the application's name: browsers
/// send the cookies of a host to all of its ports. Over `https` they have a prefix besides, and
/// cookies without it are ignored there.
pub(crate) struct CookieNames {
    session: [String; 2],
    guest: [String; 2],
}

impl CookieNames {
    pub(crate) fn new(application: AppName) -> Self {
        let both = |kind: &str| {
            let name = format!("{}_{kind}", application.as_str());
            [format!("{HOST_PREFIX}{name}"), name]
        };
        Self { session: both("session"), guest: both("guest") }
    }

    /// Returns the name of the cookie of a login.
    pub(crate) fn session(&self, is_secure: bool) -> &str {
        &self.session[usize::from(!is_secure)]
    }

    /// Returns the name of the signed cookie of a guest.
    pub(crate) fn guest(&self, is_secure: bool) -> &str {
        &self.guest[usize::from(!is_secure)]
    }
}

#[cfg(test)]
mod tests {
    use super::CookieNames;
    use crate::config::app_name::AppName;

    #[test]
    fn cookies_begin_with_the_application_and_over_https_with_a_prefix() {
        let names = CookieNames::new(AppName::new("echo"));
        assert_eq!((names.session(false), names.guest(false)), ("echo_session", "echo_guest"));
        assert_eq!((names.session(true), names.guest(true)), ("__Host-echo_session", "__Host-echo_guest"));
    }
}
