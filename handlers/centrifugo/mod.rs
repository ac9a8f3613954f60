//! Clients of Centrifugo's protocols, in the same rooms as all others.

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod emulation;
pub(crate) mod streams;
