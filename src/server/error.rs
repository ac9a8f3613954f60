//! Why a server cannot serve.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::config::setting::Setting;

/// Why a server cannot serve.
#[derive(Debug, Error)]
pub(crate) enum ServerError {
    /// An address of the settings cannot be bound.
    #[error("could not listen on {address}; free it, or give {} another", Setting("--listen"))]
    Listen {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    /// Two routes have one name.
    #[error("route `{name}`: expected a name of its own")]
    DuplicateName { name: &'static str },
    /// Another route, or none, matches the pattern of a route.
    #[error("route `{name}`: `{pattern}` is served by `{by}`")]
    HiddenRoute { name: &'static str, pattern: &'static str, by: &'static str },
}
