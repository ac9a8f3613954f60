//! Which setting of the keys of tokens is wrong.

use thiserror::Error;

use crate::auth::jwt::key_problem::KeyProblem;
use crate::config::setting::Setting;
use crate::config::tokens;

/// Which setting of the keys of tokens is wrong; its source says why.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// The single key.
    #[error("{}", tokens::KEY)]
    Key(#[source] KeyProblem),
    /// The JWKS.
    #[error("{}", Setting("--token-jwks-file"))]
    KeySet(#[source] KeyProblem),
    /// The algorithm of the single key.
    #[error("{}", Setting("--token-algorithm"))]
    Algorithm(#[source] KeyProblem),
}
