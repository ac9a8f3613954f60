//! The protocols of the application's sockets: how commands and views look as frames.

pub(crate) mod centrifugo;
pub(crate) mod data;
pub(crate) mod raw_object;
pub(crate) mod streams;
pub(crate) mod surrogates;
pub(crate) mod tutorial;
pub(crate) mod v1;
