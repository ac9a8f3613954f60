//! The server: listener, dispatch, route table.

pub mod dispatch;
pub mod guards;
pub(crate) mod listener;
pub mod route;
pub(crate) mod routes;
pub(crate) mod state;
#[cfg(test)]
mod tests;
