//! The layer: what all nodes share.
//!
//! # The contract
//!
//! A *member* is one socket of one node; a node's members of a group are known to the layer from
//! [`enter`](Layer::enter) to [`leave`](Layer::leave).
//!
//! Guaranteed:
//! - **Delivery.** An event whose [`publish`](Layer::publish) began after [`heard`](Layer::heard)
//!   returned is handed to this node's [`Listener`], as long as the layer can be reached.
//! - **Once.** The listener gets each event once for each time it was published, however many
//!   members the node has; a node without members of the group gets none.
//! - **One order.** Events of one group come in the same order on every node, and events published
//!   one after another by one caller come in that order.
//! - **An answer.** `publish` returns when the layer has taken the event, or an error within about
//!   a second. Nothing is queued behind the caller's back.
//! - **Foreign bytes.** What is no event is counted and dropped; nobody is disturbed.
//! - **Members are alive.** [`members`](Layer::members) counts members of live nodes only. A node
//!   that ends leaves at once; one that is killed is out of every set within 15 seconds. A node that
//!   was taken for dead, or whose layer forgot everything, puts its members back by itself.
//! - **It comes back.** When the layer was away and is back, every group is heard again without a
//!   socket being closed, within about a second.
//! - **One tick.** While a group's ticker is on and some node asks, one node per period publishes
//!   its tick; it ends when nobody has asked for a minute.
//!
//! Not guaranteed:
//! - Events published while a node cannot reach the layer never reach that node: pub/sub keeps
//!   nothing. An error from `publish` leaves open whether the event was taken.
//! - Nothing is ordered between groups.
//! - What was published is kept nowhere; who enters later does not get it.
//!
//! [`memory`] holds for one node, [`redis`] for any number.

pub mod memory;
pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use crate::error::{StartError, Unavailable};
use crate::event::Event;
use crate::group::Group;

/// For how long a ticker goes on when no node asks for it: a minute.
pub(crate) const LINGER: Duration = Duration::from_mins(1);

/// Who hears what the layer delivers: this node. Called on the task that reads from the layer, so it
/// must not wait.
pub trait Listener: Send + Sync + 'static {
    /// Events of one group, in their order.
    fn deliver(&self, group: &str, events: &[Event]);
    /// Somebody started the group's ticker.
    fn ticker_started(&self, group: &str);
    /// The layer was away and is back: tickers may have been started meanwhile.
    fn recovered(&self);
}

/// One of the two implementations.
pub enum Layer {
    /// For one node alone, in its memory.
    Memory(memory::MemoryLayer),
    /// For any number of nodes, in Redis.
    Redis(redis::RedisLayer),
}

impl Layer {
    /// A layer in this process's memory.
    pub fn memory(listener: Arc<dyn Listener>) -> Self {
        Self::Memory(memory::MemoryLayer::new(listener))
    }

    /// A layer in the Redis at this URL. With `wait`, a Redis that is away now is waited for.
    ///
    /// # Errors
    /// [`StartError`] when Redis cannot be reached, and nobody asked to wait.
    pub async fn redis(url: &str, wait: bool, listener: Arc<dyn Listener>) -> Result<Self, StartError> {
        Ok(Self::Redis(redis::RedisLayer::connect(url, wait, listener).await?))
    }

    /// One more member of the group on this node. Never waits.
    pub fn enter(&self, group: &Group, member: u64) {
        match self {
            Self::Memory(layer) => layer.enter(group, member),
            Self::Redis(layer) => layer.enter(group, member),
        }
    }

    /// Returns when the node hears the group, which it does while it has members there.
    ///
    /// # Errors
    /// [`Unavailable`] when that takes longer than five seconds.
    pub async fn heard(&self, group: &Group) -> Result<(), Unavailable> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(layer) => layer.heard(group).await,
        }
    }

    /// One member less. Never waits.
    pub fn leave(&self, group: &Group, member: u64) {
        match self {
            Self::Memory(layer) => layer.leave(group, member),
            Self::Redis(layer) => layer.leave(group, member),
        }
    }

    /// How many members the group has, on all live nodes.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn members(&self, group: &Group) -> Result<usize, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.members(group)),
            Self::Redis(layer) => layer.members(group).await,
        }
    }

    /// Publishes an event to the group.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it.
    pub async fn publish(&self, group: &Group, event: &Event) -> Result<(), Unavailable> {
        match self {
            Self::Memory(layer) => {
                layer.publish(group, event);
                Ok(())
            }
            Self::Redis(layer) => layer.publish(group, event).await,
        }
    }

    /// Turns the group's ticker on: its first tick is due one period from now. If it is on already,
    /// nothing changes.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn start_ticker(&self, group: &Group, period: Duration) -> Result<(), Unavailable> {
        match self {
            Self::Memory(layer) => {
                layer.start_ticker(group, period);
                Ok(())
            }
            Self::Redis(layer) => layer.start_ticker(group, period).await,
        }
    }

    /// Turns the group's ticker off.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn stop_ticker(&self, group: &Group) -> Result<(), Unavailable> {
        match self {
            Self::Memory(layer) => {
                layer.stop_ticker(group);
                Ok(())
            }
            Self::Redis(layer) => layer.stop_ticker(group).await,
        }
    }

    /// Publishes this event if the group's tick is due and no other node was faster. Returns the
    /// time until the next tick, or `None` if the ticker is off. Asking keeps the ticker on.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
    ) -> Result<Option<Duration>, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.tick(group, event, period)),
            Self::Redis(layer) => layer.tick(group, event, period).await,
        }
    }

    /// Whether this node hears and can publish; the text says what is wrong.
    ///
    /// # Errors
    /// [`Unavailable`] while the layer is away.
    pub fn ready(&self) -> Result<&'static str, Unavailable> {
        match self {
            Self::Memory(_) => Ok("memory: this node stands alone"),
            Self::Redis(layer) => layer.ready().map(|()| "redis"),
        }
    }

    /// Returns only if the layer can never work again; the node has to end.
    pub async fn broken(&self) {
        match self {
            Self::Memory(_) => std::future::pending().await,
            Self::Redis(layer) => layer.broken().await,
        }
    }

    /// Takes this node out of every set. Call it last.
    pub async fn close(&self) {
        if let Self::Redis(layer) = self {
            layer.close().await;
        }
    }
}
