//! What a connection may do: decided when it is accepted, before any of its bytes is read.

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acceptance {
    /// Its requests are served.
    Served,
    /// The node has as many connections as it may have: probes are served, all else is a 503.
    NodeFull,
    /// Its address has as many: probes are served, all else is a 429.
    AddressFull,
}
