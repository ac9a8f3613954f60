//! The node's implementation of the layer's callbacks.

use std::sync::{Arc, Weak};

use once_cell::sync::OnceCell;

use crate::layer::{Disconnect, LayerListener, NodeFigures};
use crate::realtime::hub::Hub;
use crate::realtime::runtime::Realtime;
use crate::wire::delivery::Delivery;
use crate::wire::group::Group;

/// Receives the callbacks of the layer for this node.
pub(crate) struct NodeListener {
    pub(crate) hub: Arc<Hub>,
    /// Set once the node is built, which happens after the layer.
    pub(crate) realtime: OnceCell<Weak<Realtime>>,
}

impl LayerListener for NodeListener {
    fn deliver(&self, group: &str, events: &[Arc<Delivery>]) {
        self.hub.deliver(group, events);
    }

    fn is_full(&self) -> bool {
        self.hub.is_full()
    }

    fn figures(&self) -> NodeFigures {
        let realtime = self.realtime.get().and_then(Weak::upgrade);
        let published = realtime.map_or(0, |realtime| realtime.context().published());
        NodeFigures { published, ..self.hub.figures() }
    }

    fn on_interval_started(&self, group: &str) {
        if let Some(realtime) = self.realtime.get().and_then(Weak::upgrade) {
            realtime.intervals().poll(&realtime, &Group::new(group));
        }
    }

    fn on_disconnect(&self, command: Disconnect) {
        self.hub.apply(command);
    }

    fn on_resubscribed(&self) {
        if let Some(realtime) = self.realtime.get().and_then(Weak::upgrade) {
            for group in realtime.hub().groups_with_interval() {
                realtime.intervals().poll(&realtime, &group);
            }
            for socket in realtime.hub().sockets() {
                socket.mark_stale();
            }
            if realtime.context().known_key().is_none() {
                let context = Arc::clone(realtime.context());
                tokio::spawn(async move { context.key().await.map(|_| ()) });
            }
        }
    }
}
