//! Which setting of the keys of tokens is wrong.

use thiserror::Error;

use crate::auth::jwt::key_problem::KeyProblem;

/// Which setting of the keys of tokens is wrong; its source says why.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// The single key.
    #[error("--token-key-file (PARLOR_TOKEN_KEY)")]
    Key(#[source] KeyProblem),
    /// The JWKS.
    #[error("--token-jwks-file (PARLOR_TOKEN_JWKS_FILE)")]
    KeySet(#[source] KeyProblem),
    /// The algorithm of the single key.
    #[error("--token-algorithm (PARLOR_TOKEN_ALGORITHM)")]
    Algorithm(#[source] KeyProblem),
}
