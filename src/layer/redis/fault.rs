//! Why a server is of no use to this node.

use std::error::Error;
use std::io;
use std::sync::Arc;

/// Why a server is of no use to this node.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
pub(super) struct Fault {
    /// One line: what the server said or did, and what to do.
    pub(super) cause: String,
    /// Whether only an operator can mend it.
    pub(super) is_permanent: bool,
}

impl Fault {
    /// Returns the fault that this error is about; another error is taken for a temporary one.
    pub(super) fn from_error(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            // The client library shares its causes. The source of an I/O error is that of the error
            // in it, not this one.
            let io: Option<&io::Error> = match error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
                Some(shared) => shared.downcast_ref(),
                None => error.downcast_ref(),
            };
            let inner = io.and_then(io::Error::get_ref);
            if let Some(fault) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
                return fault.clone();
            }
            cause = error.source();
        }
        temporary(root_cause(error))
    }

    /// Returns the fault as an I/O error of this kind.
    pub(super) fn into_io(self, kind: io::ErrorKind) -> io::Error {
        io::Error::new(kind, self)
    }
}

/// Returns a fault that may mend itself.
pub(super) fn temporary(cause: impl Into<String>) -> Fault {
    Fault { cause: cause.into(), is_permanent: false }
}

/// Returns a fault that only an operator can mend.
pub(super) fn permanent(cause: impl Into<String>) -> Fault {
    Fault { cause: cause.into(), is_permanent: true }
}

/// Returns the innermost cause in the words of the operating system: `connection refused`.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
