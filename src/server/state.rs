//! What is served: a node's services, and its routes.

use std::sync::Arc;

use crate::http::context::Context;
use crate::realtime::runtime::Realtime;
use crate::server::route::Route;

/// A node's services, and its routes.
pub(crate) struct State {
    pub(crate) node: Arc<Context>,
    pub(crate) realtime: Arc<Realtime>,
    pub(crate) routes: fn(&[&str]) -> Option<Route>,
}
