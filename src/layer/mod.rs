//! The layer: what all nodes share.
//!
//! It is four traits ([`Broker`], [`Presence`], [`Control`], and [`Store`] with [`Index`]) with two
//! implementations: [`memory`] for a single node, [`redis`] for any number. [`Layer`] is one of the
//! two, dispatched statically.
//!
//! # The contract
//!
//! A *member* is one socket of one node, with its user's id and name. The layer knows a node's
//! members of a group from [`subscribe`](Broker::subscribe) to
//! [`unsubscribe`](Broker::unsubscribe). Each clause is held by
//! a test in `tests/layer/`, which every implementation has to pass.
//!
//! Guaranteed:
//! - **Log.** An event whose [`append`](Broker::append) returned an id is in the group's log, which
//!   keeps at least as many events and for as long as [`Retention`] says. Ids of one log only rise.
//!   An append with a key that was used within [`IDEMPOTENCY_WINDOW`] adds nothing and returns the
//!   id of the first one, and its offset as long as the log has it.
//! - **No holes.** The [`LayerListener`] receives logged events in the order of the log, each once,
//!   from [`subscribe`](Broker::subscribe) on, across reconnections: missed events are read from
//!   the log. Where the log no longer has them, the listener receives a
//!   [`GAP`](crate::wire::event::GAP) event in their place.
//! - **Redaction.** After [`redact`](Broker::redact) returned, every reading of the log has a
//!   [`REDACTED`](crate::wire::event::REDACTED) event in the place of the original, so that no id
//!   is missing. Nodes that cache a part of the log are informed within a moment, and cache nothing
//!   while they are disconnected; a node that has not noticed yet that it is disconnected may
//!   return the text for 4 more seconds. Every subscribed node then receives a redaction event
//!   without a position, ordered after the original. A node that was disconnected receives it when
//!   it resubscribes. The text is not delivered after that. A redaction is as durable as an append.
//! - **Removal.** After [`clear_log`](Broker::clear_log) returned, no reading of the log returns
//!   what it had, with the same exceptions for nodes that are disconnected.
//! - **Delivery.** An event that is not logged ([`publish`](Broker::publish),
//!   [`publish_ephemeral`](Broker::publish_ephemeral)) and is published after `subscribe` returned
//!   is delivered once, while the node is connected.
//! - **Order.** Events of one group arrive in the same order on every node. Events that one caller
//!   publishes one after another arrive in that order.
//! - **Deadline.** `append` and `publish` return within about a second: with success, or with an
//!   error. What Redis took while the node itself stood still is no error, unless replicas are
//!   awaited. An append that failed because it was late is not carried out later.
//! - **Foreign bytes.** Payloads that are no events are counted and dropped.
//! - **Members.** [`presence`](Presence::presence) and [`member_count`](Presence::member_count) are
//!   one number: users with a member on a live node, and users whose last member left less than
//!   [`LEAVE_GRACE`] ago. A user is known by its id; its name is data. The users of a node that
//!   ends leave after the grace, those of a killed one within 15 seconds of the next time that a
//!   node has members in the group or is asked for its users or their number. A node that was taken
//!   for dead while it lived, or whose Redis lost its data or went back to older data, adds its
//!   members again.
//! - **Presence.** Every node of a group receives each join, leave and rename of a user once, as a
//!   [`PRESENCE`](crate::wire::event::PRESENCE) event in order with the messages, and never a join
//!   of a user that it has, nor a leave of one that it does not have. When many users join at once,
//!   the nodes receive the new state within a second instead. A user who returns within
//!   [`LEAVE_GRACE`] never left. Groups of more than [`MAX_LISTED_MEMBERS`] users report their
//!   number only, at most once a second, less often the larger they are. Whatever a node missed,
//!   its list is right within 30 seconds.
//! - **Disconnects.** A [`Disconnect`] command that was accepted reaches every connected node
//!   within a second, the sender included, and a node that was disconnected before anything else is
//!   delivered there ([`on_missed_disconnects`](LayerListener::on_missed_disconnects)). Where the
//!   log of commands was lost, every connection is asked again
//!   ([`ask_again`](LayerListener::ask_again)) before anything is delivered. A command is as
//!   durable as an append, and so is every write to the store.
//! - **Instructions.** An [`Instruction`] is in the same log, and reaches each node in order with
//!   the commands. One that a node has missed is lost where the log was.
//! - **Changes of rights.** A write of a [`RightsChange`] is made while the change is announced.
//!   After [`end_changes`](Control::end_changes) returned, none is made, however late Redis takes
//!   it. A node that starts knows the changes that are announced, and ends them when their time
//!   has come, as the others do.
//! - **Nodes.** [`nodes`](Control::nodes) returns the nodes that are not known to be dead, with
//!   figures that are at most a few seconds old. [`groups`](Presence::groups) counts as
//!   [`member_count`](Presence::member_count) does.
//! - **Recovery.** When Redis returns after an outage, the node resubscribes to every group within
//!   about a second. Sockets stay open. A [`subscribe`](Broker::subscribe) that begins within a
//!   second of the loss waits for that.
//! - **Intervals.** While a group's interval runs and some node asks for its tick, one node
//!   publishes it each period. An interval ends when it is stopped, or when no node has asked for a
//!   minute. A node that follows one continues it when Redis lost it.
//!
//! Not guaranteed:
//! - Events that are not logged do not reach a node that was disconnected when they were published.
//! - An error of `append` leaves open whether the event was appended if the answer was lost.
//!   Repeating it with the same key is safe.
//! - There is no order between groups.

mod broker;
mod connect_error;
pub(crate) mod contract;
mod control;
mod decision;
mod disconnect;
mod disconnect_sender;
mod error;
mod instruction;
mod listener;
mod log;
pub(crate) mod member;
pub(crate) mod memory;
mod node_figures;
mod node_info;
mod presence;
pub(crate) mod redis;
mod rights_change;
pub(crate) mod shared_store;
mod step;
mod store;
mod tail;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::broker::Broker;
pub use self::connect_error::ConnectError;
pub use self::contract::{IDEMPOTENCY_WINDOW, LEAVE_GRACE, MAX_LISTED_GROUPS, MAX_LISTED_MEMBERS};
pub use self::control::Control;
pub use self::disconnect::Disconnect;
pub(crate) use self::disconnect_sender::DisconnectSender;
pub use self::error::LayerError;
pub use self::instruction::{ConnectionChange, Instruction};
pub use self::listener::LayerListener;
pub use self::log::{Appended, HistoryRange, IdempotencyKey, LogFigures, Page, Retention};
pub use self::node_figures::NodeFigures;
pub use self::node_info::NodeInfo;
pub use self::presence::{Presence, PresenceSnapshot};
pub(crate) use self::redis::admin_client::AdminClient;
pub use self::rights_change::RightsChange;
pub use self::shared_store::SharedStore;
pub use self::step::{Change, Guard};
pub use self::store::{Index, Store};
use crate::config::redis_url::RedisUrl;
use crate::layer::redis::layout::RenamedRecords;
use crate::telemetry::RedisVitals;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// One of the two implementations.
pub enum Layer {
    /// For a single node, in its memory.
    Memory(memory::MemoryLayer),
    /// For any number of nodes, in Redis.
    Redis(redis::RedisLayer),
}

impl Layer {
    /// Returns a layer in the memory of this process.
    pub fn memory(retention: Retention, listener: Arc<dyn LayerListener>) -> Self {
        Self::Memory(memory::MemoryLayer::new(retention, listener))
    }

    /// Returns a layer in the Redis at this URL, which the nodes with this prefix share: it begins
    /// their keys. Messages travel on channels with the prefix `shared`, which are Django's, too,
    /// or without it on channels of the nodes. Keys of records that had other names are `renamed`.
    /// With `wait`, an unreachable Redis is waited for in the background.
    ///
    /// # Errors
    /// Returns [`ConnectError`] when Redis cannot be reached and `wait` is not set.
    pub async fn redis(
        url: &RedisUrl,
        prefix: &str,
        shared: Option<&str>,
        renamed: RenamedRecords,
        wait: bool,
        retention: Retention,
        listener: Arc<dyn LayerListener>,
    ) -> Result<Self, ConnectError> {
        Ok(Self::Redis(
            redis::RedisLayer::connect(url, prefix, shared, renamed, wait, retention, listener).await?,
        ))
    }

    /// Returns the records and indexes that all nodes share.
    pub fn store(&self) -> &SharedStore {
        match self {
            Self::Memory(layer) => layer.store(),
            Self::Redis(layer) => layer.store(),
        }
    }

    /// Returns the time of the last proof that messages of this node reach it through Redis; `None`
    /// without Redis.
    pub(crate) fn contact(&self) -> Option<Instant> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(layer) => Some(layer.contact()),
        }
    }

    /// Returns the figures of the node's use of Redis; `None` without Redis.
    pub(crate) fn redis_vitals(&self) -> Option<RedisVitals> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(layer) => Some(layer.vitals()),
        }
    }

    /// Returns only if the layer can never work again: the node has to stop.
    pub async fn failed(&self) {
        match self {
            Self::Memory(_) => std::future::pending().await,
            Self::Redis(layer) => layer.failed().await,
        }
    }
}

/// Calls the method of the implementation; with `await`, waits for it.
macro_rules! dispatch {
    ($layer:expr, $call:ident($($argument:expr),*).await) => {
        match $layer {
            Layer::Memory(layer) => layer.$call($($argument),*).await,
            Layer::Redis(layer) => layer.$call($($argument),*).await,
        }
    };
    ($layer:expr, $call:ident($($argument:expr),*)) => {
        match $layer {
            Layer::Memory(layer) => layer.$call($($argument),*),
            Layer::Redis(layer) => layer.$call($($argument),*),
        }
    };
}

impl Broker for Layer {
    fn subscribe(
        &self,
        group: &Group,
        member: Option<&Arc<str>>,
    ) -> impl Future<Output = Result<(), LayerError>> + Send {
        // Outside of the future: the member is added by the call.
        let (in_memory, in_redis) = match self {
            Self::Memory(layer) => (Some(layer.subscribe(group, member)), None),
            Self::Redis(layer) => (None, Some(layer.subscribe(group, member))),
        };
        async move {
            match (in_memory, in_redis) {
                (Some(subscribed), _) => subscribed.await,
                (_, Some(subscribed)) => subscribed.await,
                (None, None) => Ok(()),
            }
        }
    }

    async fn subscribe_unless(
        &self,
        group: &Group,
        member: &Arc<str>,
        record: &str,
    ) -> Result<bool, LayerError> {
        dispatch!(self, subscribe_unless(group, member, record).await)
    }

    fn unsubscribe(&self, group: &Group, member: Option<&Arc<str>>) {
        dispatch!(self, unsubscribe(group, member));
    }

    async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        dispatch!(self, append(group, event, key).await)
    }

    async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        dispatch!(self, publish(group, event).await)
    }

    async fn publish_ephemeral(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        dispatch!(self, publish_ephemeral(group, event).await)
    }

    async fn history(&self, group: &Group, range: HistoryRange) -> Result<Page, LayerError> {
        dispatch!(self, history(group, range).await)
    }

    async fn find(&self, group: &Group, offset: Offset) -> Result<Option<Position>, LayerError> {
        dispatch!(self, find(group, offset).await)
    }

    async fn next_offset(&self, group: &Group) -> Result<Option<Offset>, LayerError> {
        dispatch!(self, next_offset(group).await)
    }

    async fn redact(&self, group: &Group, id: Id) -> Result<bool, LayerError> {
        dispatch!(self, redact(group, id).await)
    }

    async fn clear_log(&self, group: &Group) -> Result<bool, LayerError> {
        dispatch!(self, clear_log(group).await)
    }

    fn redacted(&self, group: &Group) -> BTreeSet<Id> {
        dispatch!(self, redacted(group))
    }

    fn redact_texts(&self, group: &Group, events: &mut [Arc<Delivery>]) {
        dispatch!(self, redact_texts(group, events));
    }
}

impl Presence for Layer {
    async fn presence(&self, group: &Group) -> Result<PresenceSnapshot, LayerError> {
        dispatch!(self, presence(group).await)
    }

    async fn member_count(&self, group: &Group) -> Result<usize, LayerError> {
        dispatch!(self, member_count(group).await)
    }

    async fn groups(&self) -> Result<Vec<(String, usize)>, LayerError> {
        dispatch!(self, groups().await)
    }

    fn node_name(&self) -> &str {
        dispatch!(self, node_name())
    }
}

impl DisconnectSender for Layer {
    async fn send(&self, commands: &[Disconnect]) -> Result<(), LayerError> {
        self.disconnect(commands).await
    }

    fn store(&self) -> &SharedStore {
        self.store()
    }

    async fn end_changes(&self, ids: &[&str]) -> Result<(), LayerError> {
        Control::end_changes(self, ids).await
    }
}

impl Control for Layer {
    async fn disconnect(&self, commands: &[Disconnect]) -> Result<(), LayerError> {
        dispatch!(self, disconnect(commands).await)
    }

    async fn instruct(&self, instruction: &Instruction) -> Result<(), LayerError> {
        dispatch!(self, instruct(instruction).await)
    }

    async fn end_changes(&self, ids: &[&str]) -> Result<(), LayerError> {
        dispatch!(self, end_changes(ids).await)
    }

    async fn send_to_node(&self, node: &str, message: &[u8]) -> Result<bool, LayerError> {
        dispatch!(self, send_to_node(node, message).await)
    }

    async fn in_line(&self) -> Result<(), LayerError> {
        dispatch!(self, in_line().await)
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, LayerError> {
        dispatch!(self, nodes().await)
    }

    async fn log_length(&self, group: &Group) -> Result<usize, LayerError> {
        dispatch!(self, log_length(group).await)
    }

    async fn log_figures(&self, groups: &[Group]) -> Result<Vec<LogFigures>, LayerError> {
        dispatch!(self, log_figures(groups).await)
    }

    async fn start_interval(&self, group: &Group, period: Duration) -> Result<(), LayerError> {
        dispatch!(self, start_interval(group, period).await)
    }

    async fn stop_interval(&self, group: &Group) -> Result<(), LayerError> {
        dispatch!(self, stop_interval(group).await)
    }

    async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
        follows: bool,
    ) -> Result<Option<Duration>, LayerError> {
        dispatch!(self, tick(group, event, period, follows).await)
    }

    fn ready(&self) -> Result<Cow<'static, str>, LayerError> {
        dispatch!(self, ready())
    }

    async fn close(&self) {
        dispatch!(self, close().await);
    }
}
