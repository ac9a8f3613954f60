//! The names of a setting: its flag, and the environment variable made of it.

use std::fmt;
use std::sync::OnceLock;

use crate::config::app_name::AppName;

/// The application that the variables are named after. Environment variables are the process', so
/// their names are too.
static APPLICATION: OnceLock<AppName> = OnceLock::new();

/// A setting by its flag. `Display` writes both names, as `--listen (PARLOR_LISTEN)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting(pub(crate) &'static str);

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, variable(self.0))
    }
}

/// Names the variables after this application. Only the first call counts.
pub(crate) fn name_variables_after(application: AppName) {
    let _ = APPLICATION.set(application);
}

/// Returns the environment variable of a flag, or of a word such as `password`.
pub(crate) fn variable(name: &str) -> String {
    APPLICATION.get().copied().unwrap_or_default().variable(name)
}
