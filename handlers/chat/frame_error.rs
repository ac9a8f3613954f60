//! What became of what a client said: its place in the log, or why it is not there.

use std::borrow::Cow;

use parlor::{Appended, Id, LayerError};

/// Why something was not done: an error's code, and words for people.
pub(crate) struct FrameError {
    pub(crate) code: &'static str,
    pub(crate) detail: Cow<'static, str>,
}

/// A message's place in the log.
pub(crate) struct Logged {
    pub(crate) id: Id,
    pub(crate) duplicate: bool,
}

impl FrameError {
    pub(crate) fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new("unavailable", "the server cannot reach its messages: send it again, with the same `id`")
    }
}

/// A failed call of the layer: `unavailable`, which is to be tried again, or `internal`, which is not.
impl From<&LayerError> for FrameError {
    fn from(error: &LayerError) -> Self {
        if error.is_retryable() {
            Self::unavailable()
        } else {
            Self::new("internal", "the server could not do it, and cannot if it is sent again")
        }
    }
}

/// What the layer's answer means for the client.
///
/// # Errors
/// Why the message is not in the log.
pub(crate) fn answer(appended: &Result<Appended, LayerError>) -> Result<Logged, FrameError> {
    match appended {
        Ok(Appended::New(id)) => Ok(Logged { id: *id, duplicate: false }),
        Ok(Appended::Duplicate(id)) => Ok(Logged { id: *id, duplicate: true }),
        Ok(Appended::Conflict) => {
            Err(FrameError::new("conflict", "`id`: used for another message less than five minutes ago"))
        }
        Err(error) => Err(FrameError::from(error)),
    }
}
