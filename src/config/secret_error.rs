//! Why a secret of the settings is not usable.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::config::auth::PASSWORD_CHARS;
use crate::config::weakness::Weakness;

/// Why a secret of the settings is not usable. Never contains any of it.
#[derive(Debug, Error)]
pub(crate) enum SecretError {
    /// The file cannot be read.
    #[error("{setting}: could not read `{}`", path.display())]
    Unreadable {
        setting: String,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The secret can be guessed.
    #[error("{setting}: {weakness}")]
    Weak { setting: String, weakness: Weakness },
    /// The password is missing, no text, or of another length than passwords have.
    #[error(
        "{setting}: expected a password of {} to {} characters",
        PASSWORD_CHARS.start(),
        PASSWORD_CHARS.end()
    )]
    PasswordLength { setting: String },
}
