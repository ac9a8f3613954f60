//! One check of all sockets.

/// One check of all sockets, once a second.
#[derive(Clone, Copy)]
pub(crate) struct Tick {
    /// The time of the check, in seconds of the node.
    pub(crate) now: u32,
    /// The time of the check before.
    pub(crate) last: u32,
    /// Whether the process was frozen in between: the time since the last read says nothing then.
    pub(crate) is_frozen: bool,
    /// The time after which an incomplete message closes its socket, in seconds.
    pub(crate) max_message_seconds: u32,
}
