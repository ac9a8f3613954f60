//! What can go wrong for the whole node: it cannot start, or the layer is away.

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

/// The layer did not take or answer something.
#[derive(Debug)]
pub struct LayerError {
    what: &'static str,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl LayerError {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, cause: None }
    }

    pub(crate) fn because(what: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what, cause: Some(cause.into()) }
    }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl Error for LayerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
