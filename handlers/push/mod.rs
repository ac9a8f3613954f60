//! The push stream.

pub(crate) mod stream;
