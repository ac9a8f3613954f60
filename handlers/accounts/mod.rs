//! Logging in, signing up, nicknames, tickets.

pub(crate) mod sessions;
pub(crate) mod tickets;
