//! What is served: a node's services, and its routes.

use std::sync::Arc;

use crate::http::context::Context;
use crate::realtime::runtime::Realtime;
use crate::server::routes::Routes;

/// A node's services, and its routes.
pub(crate) struct State {
    pub(crate) context: Arc<Context>,
    pub(crate) realtime: Arc<Realtime>,
    pub(crate) routes: Routes,
}
