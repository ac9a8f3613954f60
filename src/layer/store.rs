//! The store: records and indexes that all nodes share, beside the groups and their logs.
//!
//! A *record* is a text under a key, with an optional lifetime. An *index* is a set of names, each
//! with a rank (a number, mostly a time), sorted by rank. Each call is atomic, but for those that
//! read several keys, which read each by itself: lists are read by them, in a few round trips
//! however many rows there are. What takes several calls is made safe by
//! [`create`](Store::create) and [`take`](Store::take), which succeed for one of many callers, and
//! by [`step`](Store::step), which checks and changes several keys at once.
//!
//! Records that rights rest on are written by a [`RightsChange`](crate::RightsChange) where a right
//! ends.
//!
//! | key in Redis | type | value |
//! |---|---|---|
//! | `parlor:record:<key>` | string | a record |
//! | `parlor:index:<index>` | sorted set | an index |

use std::time::Duration;

use crate::layer::error::LayerError;
use crate::layer::step::{Change, Guard};

/// Records that all nodes share.
///
/// # Errors
/// Each call fails when Redis does not answer within a second, and with
/// [`LayerError::CorruptRecord`] when the key holds a value that is no text.
pub trait Store: Send + Sync {
    /// Returns a record. `GET`.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<String>, LayerError>> + Send;

    /// Returns several records, in the order of the keys. `GET` of each, 256 in a round trip: the
    /// keys may be in any slots of Redis Cluster.
    fn get_all(
        &self,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<Option<String>>, LayerError>> + Send;

    /// Writes a record, replacing what is there. Without a lifetime it is kept until it is deleted.
    /// `SET PX`.
    fn put(
        &self,
        key: &str,
        value: &str,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Writes a record if there is none; returns whether it was written. `SET NX PX`.
    fn create(
        &self,
        key: &str,
        value: &str,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Removes a record and returns it; of many callers one gets it. `GETDEL`.
    fn take(&self, key: &str) -> impl Future<Output = Result<Option<String>, LayerError>> + Send;

    /// Removes a record; returns whether there was one. `DEL`.
    fn delete(&self, key: &str) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Makes all changes if all conditions hold, and none otherwise: nothing happens in between.
    /// Returns the index of the first condition that does not hold, or `None` after the changes.
    ///
    /// `EVALSHA` of `step.lua`, linear in the number of conditions and changes.
    fn step(
        &self,
        guards: &[Guard<'_>],
        changes: &[Change<'_>],
    ) -> impl Future<Output = Result<Option<usize>, LayerError>> + Send;

    /// Returns a record and sets its lifetime. `GETEX PX`.
    fn refresh(
        &self,
        key: &str,
        ttl: Duration,
    ) -> impl Future<Output = Result<Option<String>, LayerError>> + Send;
}

/// Indexes that all nodes share: sets of names, sorted by rank.
///
/// # Errors
/// As those of [`Store`].
pub trait Index: Send + Sync {
    /// Adds a name, or changes its rank; returns whether it is new. `ZADD`.
    fn add(
        &self,
        index: &str,
        name: &str,
        rank: u64,
    ) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Removes a name; returns whether it was there. `ZREM`.
    fn remove(&self, index: &str, name: &str) -> impl Future<Output = Result<bool, LayerError>> + Send;

    /// Returns a name's rank. `ZSCORE`.
    fn rank(&self, index: &str, name: &str) -> impl Future<Output = Result<Option<u64>, LayerError>> + Send;

    /// Returns a name's ranks in several indexes, in their order. `ZSCORE` of each, 256 in a round
    /// trip.
    fn ranks(
        &self,
        indexes: &[String],
        name: &str,
    ) -> impl Future<Output = Result<Vec<Option<u64>>, LayerError>> + Send;

    /// Returns the `limit` names of the highest ranks, the highest first. `ZREVRANGE WITHSCORES`.
    fn top(
        &self,
        index: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(String, u64)>, LayerError>> + Send;

    /// Returns [`top`](Self::top) of several indexes, in their order. `ZREVRANGE` of each, 256 in a
    /// round trip.
    fn tops(
        &self,
        indexes: &[String],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Vec<(String, u64)>>, LayerError>> + Send;

    /// Returns the number of names. `ZCARD`.
    fn count(&self, index: &str) -> impl Future<Output = Result<usize, LayerError>> + Send;

    /// Returns the numbers of names of several indexes, in their order. `ZCARD` of each, 256 in a
    /// round trip.
    fn counts(&self, indexes: &[String]) -> impl Future<Output = Result<Vec<usize>, LayerError>> + Send;

    /// Removes all names but the `keep` of the highest ranks. `ZREMRANGEBYRANK`.
    fn trim(&self, index: &str, keep: usize) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Removes an index. `UNLINK`.
    fn clear(&self, index: &str) -> impl Future<Output = Result<(), LayerError>> + Send;
}
