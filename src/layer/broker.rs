//! The broker: carries events to the nodes of a group, and keeps the group's log.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::layer::error::LayerError;
use crate::layer::log::{Appended, HistoryRange, IdempotencyKey, Page};
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// Carries events to the nodes of a group, and keeps the group's log.
///
/// A call that fails with a [retryable](LayerError::is_retryable) error may have been carried out.
pub trait Broker: Send + Sync {
    /// Adds a socket to a group of this node, and waits until the node is subscribed. `member` is
    /// its user: an id without spaces, then `/` and a name. A socket without one only receives
    /// events.
    ///
    /// The member is added by the call itself, before the future is polled:
    /// [`unsubscribe`](Self::unsubscribe) must follow, also if the future fails or is dropped. From
    /// `Ok` on the listener receives the group's events.
    ///
    /// # Errors
    /// Fails at once while Redis is unreachable, and with [`LayerError::TimedOut`] after five
    /// seconds.
    ///
    /// # Cost
    /// `SUBSCRIBE` for the first member on this node, which many groups share; nothing for further
    /// sockets of a user. For a new user `EVALSHA` of `seat.lua`, which all joins and leaves that
    /// wait at a time share.
    fn subscribe(
        &self,
        group: &Group,
        member: Option<&Arc<str>>,
    ) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Adds a socket with a member as [`subscribe`](Self::subscribe) does, unless the store has a
    /// record under this key, which decides who may enter. Returns `false` if it has one, and where
    /// the record has to be read first; the socket is not in the group then, and never was for
    /// other nodes. If the future is dropped or fails, [`unsubscribe`](Self::unsubscribe) must not
    /// follow.
    ///
    /// As with [`SharedStore::read_for_join`](crate::SharedStore::read_for_join), a disconnect
    /// command about the group has to follow each write of such a record.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    ///
    /// # Cost
    /// As [`subscribe`](Self::subscribe); the record is asked for by the call for the new user.
    fn subscribe_unless(
        &self,
        group: &Group,
        member: &Arc<str>,
        record: &str,
    ) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Removes a socket from a group of this node. Never waits.
    ///
    /// # Cost
    /// After the grace of the user's last socket, a part of a call of `seat.lua`; `UNSUBSCRIBE`
    /// after the grace of the last user on this node.
    fn unsubscribe(&self, group: &Group, member: Option<&Arc<str>>);

    /// Appends an event to the group's log and delivers it to every subscribed node, once for each
    /// key.
    ///
    /// # Errors
    /// Fails within about a second. Without a key it is then unknown whether the event is in the
    /// log; with a key the call can be repeated safely.
    ///
    /// # Cost
    /// One `EVALSHA` of `append.lua` (`XADD`, `PUBLISH`, `SET` of the key) for all events of a
    /// group that wait at a time. With `replicas`, one call for each event, then `WAIT`.
    fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> impl Future<Output = Result<Appended, LayerError>> + Send;

    /// Publishes an event that is not logged to every subscribed node, and to consumers of
    /// channels_redis.
    ///
    /// At most once: a node that is not connected to Redis does not receive it.
    ///
    /// # Errors
    /// Fails when Redis does not take the event within a second.
    ///
    /// # Cost
    /// `PUBLISH asgi__group__<group>`.
    fn publish(&self, group: &Group, event: &Event) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Publishes an event that is not logged to Parlor's own nodes only: a consumer of Django ends
    /// at a type that it does not know.
    ///
    /// At most once, as [`publish`](Self::publish).
    ///
    /// # Errors
    /// Fails when Redis does not take the event within a second.
    ///
    /// # Cost
    /// `PUBLISH parlor:c:{<group>}`.
    fn publish_ephemeral(
        &self,
        group: &Group,
        event: &Event,
    ) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Returns a range of the group's log, the oldest event first, as far as it fits into a page.
    /// Redacted events are in it without their texts.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second, or when the call had to wait for more than
    /// five seconds for others.
    ///
    /// # Cost
    /// Nothing where the node has the range in its cache of the log's tail; else one or two
    /// `EVALSHA` of `page.lua` (`XRANGE` or `XREVRANGE`, `ZRANGEBYSCORE`), at most a page each, on
    /// a connection for such reads. One caller of a group reads at a time, and a few of a node.
    fn history(
        &self,
        group: &Group,
        range: HistoryRange,
    ) -> impl Future<Output = Result<Page, LayerError>> + Send;

    /// Returns the position of the first event with this number or a greater one in this epoch;
    /// `None` if the group's log has none, or a later epoch. It is found by its number and not by
    /// counting: events before and after it may have been erased.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `EVALSHA` of `find.lua`: `XREVRANGE`, and for an older event one `XRANGE` of an event each
    /// time that the log's time is halved, about 30 for a week.
    fn find(
        &self,
        group: &Group,
        offset: Offset,
    ) -> impl Future<Output = Result<Option<Position>, LayerError>> + Send;

    /// Returns the offset that the next event of the group's log will have; `None` if the newest
    /// event has none. For an empty log the answer is kept for an hour.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `EVALSHA` of `next_offset.lua`: `XREVRANGE`, and for an empty log `INFO`, `XINFO`, `XADD`,
    /// `XDEL` and `PEXPIRE`.
    fn next_offset(&self, group: &Group) -> impl Future<Output = Result<Option<Offset>, LayerError>> + Send;

    /// Removes the text of a logged event from everything that is read, for good; returns `false`
    /// if the log does not have the event. Every subscribed node then receives a redaction event.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second. The call can be repeated safely.
    ///
    /// # Cost
    /// `EVALSHA` of `redact.lua`: `XRANGE`, `ZADD`, `PUBLISH`. With `replicas`, then `WAIT`.
    fn redact(&self, group: &Group, id: Id) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Removes all events of the group's log, as if they had expired: the next one begins an epoch.
    /// Returns `false` if there were none. Every subscribed node then receives a
    /// [`GAP`](crate::wire::event::GAP) event. Keys of appended events stay known.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second. The call can be repeated safely.
    ///
    /// # Cost
    /// `EVALSHA` of `clear.lua`: `XTRIM`, `DEL`, `PUBLISH`. With `replicas`, then `WAIT`.
    fn clear_log(&self, group: &Group) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Returns the ids of the redacted events of a group that has members on this node, as far as
    /// the node was informed; none for other groups.
    ///
    /// # Cost
    /// A copy of a set in memory.
    fn redacted(&self, group: &Group) -> BTreeSet<Id>;

    /// Removes the texts of those events that were redacted since they were read.
    ///
    /// # Cost
    /// A search in memory for each event.
    fn redact_texts(&self, group: &Group, events: &mut [Arc<Delivery>]);
}
