//! Direct messages: the inbox and the pages. The conversations are rooms.

pub(crate) mod inbox;
pub(crate) mod pages;
