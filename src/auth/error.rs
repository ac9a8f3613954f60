//! Why a client is not admitted.

use crate::auth::passwords::Busy;
use crate::layer::LayerError;

/// Why authentication failed.
#[derive(Debug)]
pub(crate) enum AuthError {
    /// The credentials are invalid. The status differs for WebSocket handshakes.
    Invalid {
        /// Whether the request is a WebSocket handshake.
        socket: bool,
    },
    /// The token has expired.
    Expired,
    /// An operator has banned the user.
    Banned,
    /// The layer does not answer.
    Unavailable(LayerError),
    /// Too many passwords are being checked.
    Busy,
}

impl From<Busy> for AuthError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<LayerError> for AuthError {
    fn from(away: LayerError) -> Self {
        Self::Unavailable(away)
    }
}
