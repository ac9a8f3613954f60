//! What crosses a boundary, without I/O: events, positions, frames, close codes, time stamps.

pub(crate) mod close;
pub(crate) mod cookies;
pub(crate) mod decoder;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod frame;
pub(crate) mod group;
pub(crate) mod headers;
pub(crate) mod hex;
pub(crate) mod host;
pub(crate) mod id;
pub(crate) mod info;
pub(crate) mod json;
pub(crate) mod offset;
pub(crate) mod origin;
pub(crate) mod render_cache;
pub(crate) mod time;
