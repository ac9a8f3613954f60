//! The settings of authentication: guests, sign-up, logins, secrets.

use std::path::PathBuf;

use clap::Args;

use crate::config::parsers::{boolean, days, file};
use crate::config::secret::{Secret, Source};
use crate::config::secret_error::SecretError;

pub(crate) const SECRET: Source = Source { flag: "--secret-file" };
pub(crate) const OPERATOR: Source = Source { flag: "--operator-password-file" };
/// The allowed length of a password, in characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;
/// The most bytes of a password: those of the longest one.
pub(crate) const MAX_PASSWORD_BYTES: usize = *PASSWORD_CHARS.end() * char::MAX.len_utf8();

/// Returns whether a password has an allowed length.
pub(crate) fn has_password_length(password: &str) -> bool {
    password.len() <= MAX_PASSWORD_BYTES && PASSWORD_CHARS.contains(&password.chars().count())
}

/// The settings of authentication.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Identity")]
#[group(skip)]
pub struct AuthConfig {
    /// File with the secret that signs guests' cookies: at least 32 characters, the same on every
    /// node; can also be set in {NAME}_SECRET. Without it, the nodes generate and share one
    #[arg(long, value_name = "FILE", value_parser = file)]
    secret_file: Option<PathBuf>,

    /// Require an account
    #[arg(long, value_parser = boolean)]
    pub no_guests: bool,

    /// Disable sign-up; operators add accounts with `{name} user add`
    #[arg(long, value_parser = boolean)]
    pub no_signup: bool,

    /// Days after which an unused login expires
    #[arg(long, value_name = "DAYS", default_value = "14", value_parser = days)]
    pub session_days: u32,

    /// Operator's account, created at the start unless it exists; for a node without Redis, which
    /// `{name} user add` cannot reach
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,

    /// File with the password of --operator, 8 to 128 characters; can also be set in
    /// {NAME}_OPERATOR_PASSWORD
    #[arg(long, value_name = "FILE", value_parser = file)]
    operator_password_file: Option<PathBuf>,

    #[arg(skip)]
    secret: Option<Secret>,

    #[arg(skip)]
    operator_password: Option<Secret>,
}

impl AuthConfig {
    /// Reads the secrets.
    ///
    /// # Errors
    /// Returns [`SecretError`] for a secret that cannot be read, or that can be guessed.
    pub(crate) fn read_secrets(&mut self) -> Result<(), SecretError> {
        self.secret = SECRET.read_strong(self.secret_file.as_deref())?;
        self.operator = self.operator.take().filter(|name| !name.is_empty());
        if self.operator.is_some() {
            let password = OPERATOR.read(self.operator_password_file.as_deref())?;
            if !password.as_ref().and_then(Secret::text).is_some_and(has_password_length) {
                let setting = OPERATOR.shown(self.operator_password_file.as_deref());
                return Err(SecretError::PasswordLength { setting });
            }
            self.operator_password = password;
        }
        Ok(())
    }

    /// Returns the secret that signs guests' cookies, if the operator set one.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Returns the name and the password of the operator's account.
    pub fn operator(&self) -> Option<(&str, &str)> {
        Some((self.operator.as_deref()?, self.operator_password.as_ref()?.text()?))
    }
}
