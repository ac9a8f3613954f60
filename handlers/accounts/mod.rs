//! Pages for login, sign-up and nicknames, and tickets.

pub(crate) mod pages;
pub(crate) mod tickets;
