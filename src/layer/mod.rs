//! The layer: what all nodes share.
//!
//! # The contract
//!
//! A *member* is one socket of one node; a node's members of a group are known to the layer from
//! [`enter`](Layer::enter) to [`leave`](Layer::leave).
//!
//! Guaranteed:
//! - **The log.** An event whose [`append`](Layer::append) returned an id is in the group's log, which
//!   keeps as many events and as long as its settings say. Ids of one log only rise. An append with the same key
//!   within [`IDEMPOTENCY_WINDOW`] returns the first one's id and adds nothing.
//! - **Nothing missing.** Logged events reach this node's [`LayerListener`] in the log's order, each once, from
//!   [`heard`](Layer::heard) on, whatever happens to the connection: what was missed is read from the log. Where
//!   the log cannot give it, the listener gets a [`GAP`](crate::wire::event::GAP) in its place.
//! - **Covered texts.** Once [`cover`](Layer::cover) has answered, whatever is read of the log has a
//!   [`REDACTED`](crate::wire::event::REDACTED) event in the place of that one: no id is missing. Nodes that keep a part of the
//!   log hear of it in a moment, and keep nothing while they hear nothing; one that does not know yet that it is deaf
//!   may give the text out for 4 more seconds. Every node of the group is told the id, as a `REDACTED` event without a
//!   place, behind the text if the text was delivered there; after that nothing delivers it. One that was deaf is told
//!   when it hears again. A cover is as safe as an append from what Redis may lose.
//! - **Delivery.** An unlogged event ([`publish`](Layer::publish), [`signal`](Layer::signal)) that was
//!   published after `heard` returned is handed to the listener once, as long as the layer can be reached.
//! - **One order.** Events of one group come in the same order on every node, and events published
//!   one after another by one caller come in that order.
//! - **An answer.** `append` and `publish` return when the layer has taken the event, or an error within about
//!   a second. An append that was refused because it was late is not made up later.
//! - **Foreign bytes.** What is no event is counted and dropped; nobody is disturbed.
//! - **Members are alive.** [`members`](Layer::members) counts users of live nodes only. A node
//!   that ends leaves at once; one that is killed is out of every set within 15 seconds. A node that
//!   was taken for dead, or whose layer forgot everything, puts its members back by itself.
//! - **Who is there.** Each user who comes or leaves is told to every node of the group once, as a
//!   [`PRESENCE`](crate::wire::event::PRESENCE) event, in its place among the messages; when a crowd comes, its members are
//!   told within a second who is there now. Who is back within [`LEAVE_GRACE`] never left. Groups of more than [`MAX_LISTED_MEMBERS`] users are told their count, at most once a second.
//! - **Orders.** An [`Disconnect`] that was taken reaches every node that hears within a second, the one that gave it
//!   included. A node that heard nothing for a while is told so ([`recovered`](LayerListener::recovered)): it may have missed some.
//! - **Nodes tell of themselves.** [`nodes`](Layer::nodes) are those whose lease is alive, each with facts that are
//!   at most some seconds old; [`groups`](Layer::groups) are counted as [`members`](Layer::members) is.
//! - **It comes back.** When the layer was away and is back, every group is heard again without a
//!   socket being closed, within about a second.
//! - **One tick.** While a group's ticker is on and some node asks, one node per period publishes
//!   its tick; it ends when nobody has asked for a minute.
//!
//! Not guaranteed:
//! - Unlogged events that are published while a node cannot reach the layer never reach that node.
//! - An error from `append` leaves open whether the event was taken, if the answer was lost: asking again with the
//!   same key is safe.
//! - Nothing is ordered between groups.
//!
//! [`memory`] holds for one node, [`redis`] for any number.

pub(crate) mod contract;
mod disconnect;
mod error;
mod intervals;
mod listener;
mod log;
pub mod memory;
mod node_info;
mod presence;
pub mod redis;
pub(crate) mod store;
mod tail;

pub use self::contract::{IDEMPOTENCY_WINDOW, LEAVE_GRACE, MAX_LISTED_GROUPS, MAX_LISTED_MEMBERS};
pub use self::error::LayerError;
pub use self::listener::LayerListener;
pub use self::log::{Appended, IdempotencyKey, Page, Retention};
pub use self::presence::Presence;
pub use self::store::Store;
pub use crate::layer::disconnect::Disconnect;
pub use crate::layer::node_info::NodeInfo;
pub(crate) use crate::layer::redis::control::AdminClient;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::error::StartError;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// One of the two implementations.
#[expect(clippy::large_enum_variant, reason = "there is one of them in a process")]
pub enum Layer {
    /// For one node alone, in its memory.
    Memory(memory::MemoryLayer),
    /// For any number of nodes, in Redis.
    Redis(redis::RedisLayer),
}

impl Layer {
    /// A layer in this process's memory.
    pub fn memory(keep: Retention, listener: Arc<dyn LayerListener>) -> Self {
        Self::Memory(memory::MemoryLayer::new(keep, listener))
    }

    /// A layer in the Redis at this URL. With `wait`, a Redis that is away now is waited for.
    ///
    /// # Errors
    /// [`StartError`] when Redis cannot be reached, and nobody asked to wait.
    pub async fn redis(
        url: &str,
        wait: bool,
        keep: Retention,
        listener: Arc<dyn LayerListener>,
    ) -> Result<Self, StartError> {
        Ok(Self::Redis(redis::RedisLayer::connect(url, wait, keep, listener).await?))
    }

    /// Records and indexes that all nodes share.
    pub fn store(&self) -> &Store {
        match self {
            Self::Memory(layer) => layer.store(),
            Self::Redis(layer) => layer.store(),
        }
    }

    /// One more member of the group on this node, who is this user. Never waits.
    pub fn enter(&self, group: &Group, user: &Arc<str>) {
        match self {
            Self::Memory(layer) => layer.enter(group, user),
            Self::Redis(layer) => layer.enter(group, user),
        }
    }

    /// Returns when the node hears the group, which it does while it has members there.
    ///
    /// # Errors
    /// [`LayerError`] when that takes longer than five seconds.
    pub async fn heard(&self, group: &Group) -> Result<(), LayerError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(layer) => layer.heard(group).await,
        }
    }

    /// One member less of this user. Never waits.
    pub fn leave(&self, group: &Group, user: &Arc<str>) {
        match self {
            Self::Memory(layer) => layer.leave(group, user),
            Self::Redis(layer) => layer.leave(group, user),
        }
    }

    /// Hands an event to the listeners of our own nodes, unlogged: Django's consumers, which end at a
    /// type that they do not know, never see it.
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it.
    pub async fn signal(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        match self {
            Self::Memory(layer) => {
                layer.publish(group, event);
                Ok(())
            }
            Self::Redis(layer) => layer.signal(group, event).await,
        }
    }

    /// Publishes an event to the group, unlogged.
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it.
    pub async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        match self {
            Self::Memory(layer) => {
                layer.publish(group, event);
                Ok(())
            }
            Self::Redis(layer) => layer.publish(group, event).await,
        }
    }

    /// Whether this node hears and can publish; the text says what is wrong.
    ///
    /// # Errors
    /// [`LayerError`] while the layer is away.
    pub fn ready(&self) -> Result<&'static str, LayerError> {
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

impl Layer {
    /// Writes an event to the group's log and publishes it. With a key, once.
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it.
    pub async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.append(group, event, key)),
            Self::Redis(layer) => layer.append(group, event, key).await,
        }
    }

    /// The oldest logged events after this id: up to 200 of them.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn after(&self, group: &Group, id: Id) -> Result<Page, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.after(group, id)),
            Self::Redis(layer) => layer.after(group, id).await,
        }
    }

    /// The newest logged events, or the newest before this id: up to `limit` of them.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn before(&self, group: &Group, id: Option<Id>, limit: usize) -> Result<Page, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.before(group, id, limit)),
            Self::Redis(layer) => layer.before(group, id, limit).await,
        }
    }

    /// Takes the text of a logged event out of what is read, for good; `false` if the log does not have it. See the
    /// [contract](super).
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it; it may be redacted all the same, and to ask again is safe.
    pub async fn redact(&self, group: &Group, id: Id) -> Result<bool, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.redact(group, id)),
            Self::Redis(layer) => layer.redact(group, id).await,
        }
    }

    /// The redacted events of a group that has members here.
    pub fn redacted(&self, group: &Group) -> BTreeSet<Id> {
        match self {
            Self::Memory(layer) => layer.redacted(group),
            Self::Redis(layer) => layer.redacted(group),
        }
    }

    /// How many events the group's log holds.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn log_size(&self, group: &Group) -> Result<usize, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.log_size(group)),
            Self::Redis(layer) => layer.log_size(group).await,
        }
    }
}

impl Layer {
    /// Gives an order to every node, this one included.
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it.
    pub async fn order(&self, order: &Disconnect) -> Result<(), LayerError> {
        match self {
            Self::Memory(layer) => {
                layer.order(order);
                Ok(())
            }
            Self::Redis(layer) => layer.order(order).await,
        }
    }
}

impl Layer {
    /// Who is in the group, as its members are told: with those who may come back.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn presence(&self, group: &Group) -> Result<Presence, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.presence(group)),
            Self::Redis(layer) => layer.presence(group).await,
        }
    }

    /// How many users the group has, on all live nodes.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn members(&self, group: &Group) -> Result<usize, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.members(group)),
            Self::Redis(layer) => layer.members(group).await,
        }
    }

    /// The groups that have members on live nodes, and how many users each has: those with the most users first,
    /// [`MAX_LISTED_GROUPS`] of them at most.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn groups(&self) -> Result<Vec<(String, usize)>, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.groups()),
            Self::Redis(layer) => layer.groups().await,
        }
    }
}

impl Layer {
    /// The live nodes, by name. What they tell of themselves is some seconds old.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, LayerError> {
        match self {
            Self::Memory(layer) => Ok(vec![layer.facts()]),
            Self::Redis(layer) => layer.nodes().await,
        }
    }

    /// The name by which the other nodes know this one.
    pub fn node(&self) -> &str {
        match self {
            Self::Memory(layer) => layer.node(),
            Self::Redis(layer) => layer.node(),
        }
    }
}

impl Layer {
    /// Turns the group's ticker on: its first tick is due one period from now. If it is on already,
    /// nothing changes.
    ///
    /// # Errors
    /// [`LayerError`] when Redis does not answer.
    pub async fn start_ticker(&self, group: &Group, period: Duration) -> Result<(), LayerError> {
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
    /// [`LayerError`] when Redis does not answer.
    pub async fn stop_ticker(&self, group: &Group) -> Result<(), LayerError> {
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
    /// [`LayerError`] when Redis does not answer.
    pub async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
    ) -> Result<Option<Duration>, LayerError> {
        match self {
            Self::Memory(layer) => Ok(layer.tick(group, event, period)),
            Self::Redis(layer) => layer.tick(group, event, period).await,
        }
    }
}
