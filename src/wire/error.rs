//! Why a node did not start.

use std::error::Error;
use std::fmt;

/// Why a node did not start: one line that names the setting, what came and what to do.
#[derive(Debug)]
pub struct StartError {
    what: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl StartError {
    /// An error in these words.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cause: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
