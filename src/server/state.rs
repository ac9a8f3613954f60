//! What is served: a node's services, and its routes.

use std::sync::Arc;

use crate::http::services::Node;
use crate::realtime::runtime::Realtime;
use crate::server::route::Route;

/// A node's services, and its routes.
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    pub(crate) realtime: Arc<Realtime>,
    pub(crate) routes: fn(&[&str]) -> Option<Route>,
}
