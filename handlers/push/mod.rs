//! The push stream of a room: one line every two seconds.

pub(crate) mod access;
pub(crate) mod channel;
pub(crate) mod stream;
