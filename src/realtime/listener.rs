//! The node's implementation of the layer's callbacks.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use once_cell::sync::OnceCell;

use crate::layer::{Disconnect, Instruction, LayerError, LayerListener, NodeFigures};
use crate::realtime::hub::Hub;
use crate::realtime::registered::Registered;
use crate::realtime::revalidation;
use crate::realtime::revalidation::Pace;
use crate::realtime::runtime::Realtime;
use crate::wire::delivery::Delivery;
use crate::wire::group::Group;

/// Receives the callbacks of the layer for this node.
pub(crate) struct NodeListener {
    pub(crate) hub: Arc<Hub>,
    /// Set once the node is built, which happens after the layer.
    pub(crate) realtime: OnceCell<Weak<Realtime>>,
    /// Every connection was asked again since the node was last subscribed.
    pub(crate) has_asked: AtomicBool,
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

    fn on_node_message(&self, message: &[u8]) {
        if let Some(realtime) = self.realtime.get().and_then(Weak::upgrade) {
            realtime.context().on_node_message(message);
        }
    }

    fn on_interval_started(&self, group: &str) {
        if let Some(realtime) = self.realtime.get().and_then(Weak::upgrade) {
            realtime.intervals().poll(&realtime, &Group::new(group));
        }
    }

    fn on_disconnect(&self, command: Disconnect) {
        self.hub.apply(command);
    }

    fn on_instruction(&self, instruction: Instruction) {
        self.hub.instruct(instruction);
    }

    fn on_missed_disconnects(&self, commands: &[Disconnect]) {
        self.hub.apply_missed(commands);
    }

    fn ask_again(&self) -> Pin<Box<dyn Future<Output = Result<(), LayerError>> + Send + '_>> {
        Box::pin(async {
            let Some(realtime) = self.realtime.get().and_then(Weak::upgrade) else { return Ok(()) };
            let sockets = realtime.hub().begin_asking();
            revalidation::run(&realtime, sockets, Pace::AtOnce).await?;
            self.has_asked.store(true, Ordering::SeqCst);
            Ok(())
        })
    }

    fn on_resubscribed(&self) {
        if let Some(realtime) = self.realtime.get().and_then(Weak::upgrade) {
            for group in realtime.hub().groups_with_interval() {
                realtime.intervals().poll(&realtime, &group);
            }
            // Whatever changed without a command, as by a node that failed half-way.
            if !self.has_asked.swap(false, Ordering::SeqCst) {
                for Registered { socket, .. } in realtime.hub().begin_asking() {
                    socket.set_known_until(0);
                }
            }
            let context = Arc::clone(realtime.context());
            tokio::spawn(async move { context.compare_key().await });
        }
    }
}
