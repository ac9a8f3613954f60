//! The server: listener, dispatch, route table.

pub mod dispatch;
pub(crate) mod listener;
pub mod route;
pub(crate) mod state;
