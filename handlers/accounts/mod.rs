//! Logging in, signing up, nicknames, tickets.

pub(crate) mod pages;
pub(crate) mod tickets;
