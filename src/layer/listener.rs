//! What a layer calls when something reaches this node.

use std::sync::Arc;

use crate::layer::disconnect::Disconnect;
use crate::layer::node_figures::NodeFigures;
use crate::wire::delivery::Delivery;

/// Receives what the layer has for this node.
///
/// The methods are called on the task that reads from Redis and must not block.
pub trait LayerListener: Send + Sync + 'static {
    /// Delivers events of one group, in their order.
    fn deliver(&self, group: &str, events: &[Arc<Delivery>]);
    /// Returns whether so many delivered events wait that no more must be delivered now.
    fn is_full(&self) -> bool;
    /// Returns the node's own figures, which the layer reports to all nodes.
    fn figures(&self) -> NodeFigures;
    /// A group's interval was started by some node.
    fn on_interval_started(&self, group: &str);
    /// Some node gave a disconnect command.
    fn on_disconnect(&self, command: Disconnect);
    /// The node is subscribed again after it was not. It may have missed disconnect commands and
    /// started intervals.
    fn on_resubscribed(&self);
}
