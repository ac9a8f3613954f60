//! The sockets of a node, and what they need of each other.

use std::sync::Arc;

use crate::http::services::Node;
use crate::realtime::backlog::Limits;
use crate::realtime::hub::Hub;
use crate::realtime::intervals::Tickers;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Session;
use crate::realtime::vtable::Kind;

/// The sockets of a node.
pub(crate) struct Realtime {
    pub(crate) node: Arc<Node>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) tickers: Tickers,
}

impl Realtime {
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn tickers(&self) -> &Tickers {
        &self.tickers
    }

    /// A new socket.
    pub(crate) fn socket(&self, session: &Session, kind: Kind) -> Arc<Socket> {
        let config = self.node.config();
        let limits = Limits { bytes: config.max_outbox_bytes, messages: config.max_outbox_messages };
        Arc::new(Socket::of(session, kind, limits))
    }

    /// From now on the node takes no sockets.
    pub(crate) fn end(&self) {
        self.node.end();
        self.hub.end();
    }
}
