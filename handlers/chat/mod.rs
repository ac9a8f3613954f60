//! The chat channel and its frames.

pub(crate) mod client_frame;
pub(crate) mod frame_error;
pub(crate) mod members_json;
pub(crate) mod messages;
pub(crate) mod raw_object;
pub(crate) mod server_frame;
pub(crate) mod tutorial;
pub(crate) mod v1;
