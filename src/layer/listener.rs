//! The listener: what a layer calls when it has something for this node.

use std::sync::Arc;

use super::Disconnect;
use crate::wire::event::Event;

/// Who hears what the layer delivers: this node. Called on the task that reads from the layer, so it
/// must not wait.
pub trait LayerListener: Send + Sync + 'static {
    /// Events of one group, in their order.
    fn deliver(&self, group: &str, events: &[Arc<Event>]);
    /// Whether so much of that waits that more must not come now.
    fn is_full(&self) -> bool;
    /// Somebody started the group's ticker.
    fn ticker_started(&self, group: &str);
    /// Some node gave an order.
    fn ordered(&self, order: Disconnect);
    /// The layer was away and is back: tickers may have been started meanwhile, and orders given.
    fn recovered(&self);
}
