//! What crosses a boundary, without I/O: events, positions, frames, close codes, time stamps.

pub(crate) mod decoder;
pub mod error;
pub mod event;
pub mod frame;
pub mod group;
pub(crate) mod headers;
pub(crate) mod host;
pub mod id;
pub(crate) mod origin;
pub(crate) mod render_cache;
pub mod time;
