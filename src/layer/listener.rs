//! What a layer calls when something reaches this node.

use std::pin::Pin;
use std::sync::Arc;

use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;
use crate::layer::instruction::Instruction;
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
    /// Another node has sent this one a message.
    fn on_node_message(&self, _message: &[u8]) {}
    /// A group's interval was started by some node.
    fn on_interval_started(&self, group: &str);
    /// Some node gave a disconnect command.
    fn on_disconnect(&self, command: Disconnect);
    /// Some node gave an instruction, perhaps while this node was not connected.
    fn on_instruction(&self, instruction: Instruction);
    /// Applies disconnect commands that this node has missed. When it returns, the matching sockets
    /// receive nothing more.
    fn on_missed_disconnects(&self, commands: &[Disconnect]);
    /// Asks every connection again whether it may stay: the node cannot know which disconnect
    /// commands it has missed. Nothing is delivered until it returns.
    ///
    /// # Errors
    /// Fails when the layer does not answer.
    fn ask_again(&self) -> Pin<Box<dyn Future<Output = Result<(), LayerError>> + Send + '_>>;
    /// The node is subscribed again after it was not, and has applied every disconnect command. It
    /// may have missed started intervals.
    fn on_resubscribed(&self);
}
