//! Why a node did not start.

use std::io;

use thiserror::Error;

use crate::auth::accounts::SignUpError;
use crate::auth::jwt::key_error::KeyError;
use crate::config::secret_error::SecretError;
use crate::config::setting::Setting;
use crate::layer::ConnectError;
use crate::server::error::ServerError;

/// Why a node did not start. With its sources it is one line: the setting, what came, what to do.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// The system refused threads or a descriptor for the runtime.
    #[error("could not start threads")]
    Threads(#[source] io::Error),
    /// The system refused the handlers of SIGTERM and SIGINT.
    #[error("could not listen for signals")]
    Signals(#[source] io::Error),
    /// A secret cannot be read, or is weak.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The keys of tokens are not usable.
    #[error(transparent)]
    TokenKeys(#[from] KeyError),
    /// The layer cannot be reached.
    #[error(transparent)]
    Layer(#[from] ConnectError),
    /// The routes are ambiguous, or an address cannot be bound.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The operator's account cannot be created.
    #[error("{}", Setting("--operator"))]
    Operator(#[from] SignUpError),
}

impl StartError {
    /// Returns whether the same start may succeed later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Layer(error) => error.is_temporary(),
            Self::Threads(_) => true,
            _ => false,
        }
    }
}
