//! The names of the cookies that identify clients.

use crate::config::app_name::AppName;

/// The names of the cookies that identify clients. They begin with the application's name: browsers
/// send the cookies of a host to all of its ports.
pub(crate) struct CookieNames {
    /// The cookie of a login.
    pub(crate) session: String,
    /// The signed cookie of a guest.
    pub(crate) guest: String,
}

impl CookieNames {
    pub(crate) fn new(application: AppName) -> Self {
        let name = application.as_str();
        Self { session: format!("{name}_session"), guest: format!("{name}_guest") }
    }
}

#[cfg(test)]
mod tests {
    use super::CookieNames;
    use crate::config::app_name::AppName;

    #[test]
    fn cookies_begin_with_the_application() {
        let names = CookieNames::new(AppName::new("echo"));
        assert_eq!((names.session.as_str(), names.guest.as_str()), ("echo_session", "echo_guest"));
        let names = CookieNames::new(AppName::new("parlor"));
        assert_eq!((names.session.as_str(), names.guest.as_str()), ("parlor_session", "parlor_guest"));
    }
}
