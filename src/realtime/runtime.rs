//! The sockets of a node, and the services that they share.

use std::sync::Arc;

use crate::http::context::Context;
use crate::realtime::backlog::Limits;
use crate::realtime::hub::Hub;
use crate::realtime::intervals::Intervals;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Subscription;
use crate::realtime::vtable::Kind;

/// The sockets of a node.
pub(crate) struct Realtime {
    pub(crate) node: Arc<Context>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) tickers: Intervals,
}

impl Realtime {
    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.node
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn tickers(&self) -> &Intervals {
        &self.tickers
    }

    /// Creates a socket.
    pub(crate) fn socket(&self, session: &Subscription, kind: Kind) -> Arc<Socket> {
        let config = self.node.config();
        let limits = Limits { bytes: config.max_outbox_bytes, messages: config.max_outbox_messages };
        Arc::new(Socket::of(session, kind, limits))
    }

    /// Makes the node reject sockets from now on.
    pub(crate) fn end(&self) {
        self.node.end();
        self.hub.end();
    }
}
