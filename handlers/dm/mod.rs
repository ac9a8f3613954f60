//! Direct messages.

pub(crate) mod conversation;
pub(crate) mod inbox;
pub(crate) mod pages;
