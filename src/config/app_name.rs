//! The name of the application, from which names outside of the process are made.

/// The name of the application, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppName(&'static str);

impl AppName {
    /// Takes the name.
    ///
    /// # Panics
    /// Panics unless it has lower-case ASCII letters, digits and `_` only, a letter first. It
    /// becomes a part of environment variables, cookies, keys and metrics.
    pub(crate) fn new(name: &'static str) -> Self {
        let is_valid = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        assert!(
            is_valid,
            "the application's name `{name}`: expected lower-case ASCII letters, digits and `_`"
        );
        Self(name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns the environment variable of a setting, as `PARLOR_LISTEN` of `--listen`.
    pub(crate) fn variable(self, setting: &str) -> String {
        let setting = setting.trim_start_matches('-').replace('-', "_");
        format!("{}_{setting}", self.0).to_ascii_uppercase()
    }
}

/// The name of this crate, for settings that no command line has made.
impl Default for AppName {
    fn default() -> Self {
        Self(env!("CARGO_PKG_NAME"))
    }
}

#[cfg(test)]
mod tests {
    use super::AppName;

    #[test]
    fn a_variable_has_the_name_and_the_flag() {
        assert_eq!(AppName::new("echo").variable("--max-name-chars"), "ECHO_MAX_NAME_CHARS");
        assert_eq!(AppName::new("two_words").variable("password"), "TWO_WORDS_PASSWORD");
    }

    #[test]
    #[should_panic(expected = "expected lower-case ASCII letters")]
    fn a_name_that_is_no_prefix_of_variables_is_refused() {
        let _ = AppName::new("my app");
    }
}
