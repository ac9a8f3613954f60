//! Control: what nodes ask of one another and operators of all of them.

use std::borrow::Cow;
use std::time::Duration;

use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;
use crate::layer::instruction::Instruction;
use crate::layer::log::LogFigures;
use crate::layer::node_info::NodeInfo;
use crate::wire::event::Event;
use crate::wire::group::Group;

/// What nodes ask of one another, and operators of all of them.
pub trait Control: Send + Sync {
    /// Makes every node close the sockets that the commands match, this node included.
    ///
    /// The commands are in a log. A node that is not connected to Redis reads them there, before
    /// anything else is delivered on it. Callers write what the commands rest on to the store
    /// first. If they announce a change, it can be made from then on.
    ///
    /// # Errors
    /// Fails when Redis, and as many replicas as [`Retention`](crate::Retention) says, do not take
    /// the commands within a second.
    ///
    /// # Cost
    /// `EVALSHA` of `decide.lua`: `XTRIM`, and for each command `XADD` and `PUBLISH`.
    fn disconnect(&self, commands: &[Disconnect]) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Makes every node change the connections of a user, this node included. A node that is away
    /// for longer than 4096 of them misses the older ones, unless they end a connection.
    ///
    /// # Errors
    /// As [`disconnect`](Self::disconnect).
    ///
    /// # Cost
    /// As [`disconnect`](Self::disconnect), with `RPUSH` and `PEXPIRE`, and `LPOP`, `XRANGE` and
    /// `XDEL` of the one that is dropped.
    fn instruct(&self, instruction: &Instruction) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Ends announced changes of rights: they cannot be made from now on. What is read after this
    /// call has what was made of them.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `SREM`.
    fn end_changes(&self, ids: &[&str]) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Sends a message to another node, at most once. Returns whether the node was subscribed.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `PUBLISH` to the node's own channel.
    fn send_to_node(
        &self,
        node: &str,
        message: &[u8],
    ) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Waits until this node has applied every command, at most 800 ms. Returns at once on a node
    /// that is connected and has compared itself with the log within the last 3 seconds.
    ///
    /// # Errors
    /// Fails on a node that may have missed commands.
    fn in_line(&self) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Returns what the live nodes report of themselves, sorted by name. It is a few seconds old.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `HGETALL` of the hashes of beats and facts.
    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeInfo>, LayerError>> + Send;

    /// Returns how many events a group's log has.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `XLEN`.
    fn log_length(&self, group: &Group) -> impl Future<Output = Result<usize, LayerError>> + Send;

    /// Returns how many events the logs of these groups have, and how many are appended to them, in
    /// the order of the groups.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// Two round trips for 256 groups: `EVALSHA` of `log_figures.lua` for each, with `XLEN`, and
    /// `XREVRANGE` of the newest events, of which only the ids are sent.
    fn log_figures(
        &self,
        groups: &[Group],
    ) -> impl Future<Output = Result<Vec<LogFigures>, LayerError>> + Send;

    /// Starts the group's interval: its first tick is due one period from now. Without effect if it
    /// runs already.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `EVALSHA` of `start_interval.lua`: `GET`, `SET`, `PUBLISH parlor:c:{<group>}`.
    fn start_interval(
        &self,
        group: &Group,
        period: Duration,
    ) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Stops the group's interval.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `SET`.
    fn stop_interval(&self, group: &Group) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Publishes the event if the group's tick is due and no other node has done it; returns the
    /// time until the next tick, or `None` if the interval does not run.
    ///
    /// One node publishes each tick. An interval that no node asks for ends after a minute. Missed
    /// ticks are skipped. With `follows`, the caller's last call returned a time: the interval then
    /// continues although Redis lost it, unless it was stopped.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `EVALSHA` of `tick.lua`: `GET`, then `SET` and `PUBLISH` if the tick is due.
    fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
        follows: bool,
    ) -> impl Future<Output = Result<Option<Duration>, LayerError>> + Send;

    /// Returns the name of the layer if this node is subscribed and can publish.
    ///
    /// # Errors
    /// [`LayerError::Unreachable`] while the node is not subscribed, or cannot beat.
    fn ready(&self) -> Result<Cow<'static, str>, LayerError>;

    /// Removes this node from every group. The layer must not be used after it.
    ///
    /// # Cost
    /// `EVALSHA` of `reap.lua`, linear in this node's members.
    fn close(&self) -> impl Future<Output = ()> + Send;
}
