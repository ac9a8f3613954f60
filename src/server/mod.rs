//! The server: listener, dispatch, route table.

pub(crate) mod acceptance;
mod cors;
pub(crate) mod dispatch;
pub(crate) mod error;
pub(crate) mod guards;
pub(crate) mod listener;
pub(crate) mod route;
pub(crate) mod routes;
pub(crate) mod stage;
pub(crate) mod state;
#[cfg(test)]
mod tests;
