//! The ears: what the layer tells this node.

use std::sync::{Arc, Weak};

use once_cell::sync::OnceCell;

use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::realtime::hub::Hub;
use crate::layer::{Listener, Order};
use crate::http::services::Node;

/// What the layer tells this node.
pub(crate) struct Ears {
    pub(crate) hub: Arc<Hub>,
    /// Set once the node is made: the layer is made before it.
    pub(crate) node: OnceCell<Weak<Node>>,
}

impl Listener for Ears {
    fn deliver(&self, group: &str, events: &[Arc<Event>]) {
        self.hub.deliver(group, events);
    }

    fn is_full(&self) -> bool {
        self.hub.is_full()
    }

    fn ticker_started(&self, group: &str) {
        if let Some(node) = self.node.get().and_then(Weak::upgrade) {
            node.tickers().look(&node, &Group::new(group));
        }
    }

    fn ordered(&self, order: Order) {
        self.hub.obey(order);
    }

    fn recovered(&self) {
        if let Some(node) = self.node.get().and_then(Weak::upgrade) {
            for group in node.hub().ticking() {
                node.tickers().look(&node, &group);
            }
            for socket in node.hub().sockets() {
                socket.doubt();
            }
            if node.known_key().is_none() {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.key().await.map(|_| ()) });
            }
        }
    }
}
