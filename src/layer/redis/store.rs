//! The store of many nodes: records and indexes in Redis.

use std::sync::Arc;
use std::time::Duration;

use redis::{Arg, Cmd, FromRedisValue};
use tokio::time::Instant;

use crate::layer::error::LayerError;
use crate::layer::redis::absent_records::AbsentRecords;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::scripts::Scripts;
use crate::layer::step::{Change, Guard};
use crate::layer::store::{Index, Store};
use crate::telemetry::RedisRefusal;
use crate::wire::group::Group;
use crate::wire::time::millis;

/// Records and indexes in Redis.
pub struct RedisStore {
    commands: Arc<Commands>,
    scripts: Arc<Scripts>,
    /// Replicas that have to have a write before it counts as done.
    replicas: usize,
    absent: Arc<AbsentRecords>,
}

impl RedisStore {
    pub(super) fn new(
        commands: Arc<Commands>,
        scripts: Arc<Scripts>,
        replicas: usize,
        absent: Arc<AbsentRecords>,
    ) -> Self {
        Self { commands, scripts, replicas, absent }
    }

    /// As [`SharedStore::read_for_join`](crate::SharedStore::read_for_join).
    pub(in crate::layer) async fn get_for_join(&self, key: &str) -> Result<Option<String>, LayerError> {
        let Some(reading) = self.absent.begin(key, Instant::now()) else { return Ok(None) };
        let text = self.get(key).await?;
        if text.is_none() {
            self.absent.learn(key, reading);
        }
        Ok(text)
    }

    pub(in crate::layer) fn forget_absences(&self) {
        self.absent.forget();
    }

    async fn run<T: FromRedisValue>(&self, command: Cmd) -> Result<T, LayerError> {
        self.commands.command(&command).await.map_err(|error| mistyped(error, &command))
    }

    /// Runs the command of this name with each of these keys, and with these arguments after it.
    async fn run_each<T: FromRedisValue>(
        &self,
        name: &str,
        keys: impl Iterator<Item = String>,
        arguments: &[&str],
    ) -> Result<Vec<T>, LayerError> {
        let commands = keys.map(|key| {
            let mut command = command(name, key);
            command.arg(arguments);
            command
        });
        let commands: Vec<Cmd> = commands.collect();
        let replies = self.commands.each(&commands).await;
        let named = |(reply, command): (Result<T, _>, _)| reply.map_err(|error| mistyped(error, command));
        replies.into_iter().zip(&commands).map(named).collect()
    }

    /// Checks conditions and makes changes by one script; returns the place of the first condition
    /// that does not hold.
    async fn run_step(
        &self,
        guards: &[&Guard<'_>],
        changes: &[Change<'_>],
    ) -> Result<Option<usize>, LayerError> {
        let mut script = self.scripts.step.arg(guards.len());
        for operation in guards.iter().copied().map(check).chain(changes.iter().map(operation)) {
            let keys = self.commands.keys();
            script.key(match operation.key {
                StoreKey::Record(key) => keys.record(key),
                StoreKey::Index(name) => keys.index(name),
                StoreKey::Announced => keys.announced(),
                StoreKey::Members(group) => keys.members(group),
                StoreKey::Log(group) => keys.log(group),
            });
            script.arg(operation.name).arg(operation.text).arg(operation.number);
        }
        let failed: usize = self.commands.written(&script, self.replicas).await?;
        Ok(failed.checked_sub(1))
    }

    /// Runs a command that writes.
    async fn write<T: FromRedisValue>(&self, command: Cmd) -> Result<T, LayerError> {
        self.commands.write(&command, self.replicas).await.map_err(|error| mistyped(error, &command))
    }
}

impl Store for RedisStore {
    async fn get(&self, key: &str) -> Result<Option<String>, LayerError> {
        self.run(command("GET", self.commands.keys().record(key))).await
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<String>>, LayerError> {
        self.run_each("GET", keys.iter().map(|key| self.commands.keys().record(key)), &[]).await
    }

    async fn put(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<(), LayerError> {
        self.write(set(self.commands.keys().record(key), value, ttl)).await
    }

    async fn create(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<bool, LayerError> {
        let mut command = set(self.commands.keys().record(key), value, ttl);
        command.arg("NX");
        let written: Option<String> = self.write(command).await?;
        Ok(written.is_some())
    }

    async fn take(&self, key: &str) -> Result<Option<String>, LayerError> {
        self.write(command("GETDEL", self.commands.keys().record(key))).await
    }

    async fn delete(&self, key: &str) -> Result<bool, LayerError> {
        self.write(command("DEL", self.commands.keys().record(key))).await
    }

    async fn step(&self, guards: &[Guard<'_>], changes: &[Change<'_>]) -> Result<Option<usize>, LayerError> {
        // The slot of a group's keys is not that of the records.
        let is_apart = |guard: &Guard<'_>| {
            let concerns_group = matches!(guard, Guard::NoMembers { .. } | Guard::NoEvents { .. });
            self.commands.shards().is_cluster() && concerns_group
        };
        for (place, guard) in guards.iter().enumerate().filter(|(_, guard)| is_apart(guard)) {
            if self.run_step(&[guard], &[]).await?.is_some() {
                return Ok(Some(place));
            }
        }
        let together = guards.iter().enumerate().filter(|(_, guard)| !is_apart(guard));
        let (places, together): (Vec<usize>, Vec<&Guard<'_>>) = together.unzip();
        let failed = self.run_step(&together, changes).await?;
        Ok(failed.and_then(|failed| places.get(failed)).copied())
    }

    async fn refresh(&self, key: &str, ttl: Duration) -> Result<Option<String>, LayerError> {
        let mut command = command("GETEX", self.commands.keys().record(key));
        command.arg("PX").arg(millis(ttl).max(1));
        self.run(command).await
    }
}

impl Index for RedisStore {
    async fn add(&self, index: &str, name: &str, rank: u64) -> Result<bool, LayerError> {
        let mut command = command("ZADD", self.commands.keys().index(index));
        command.arg(rank).arg(name);
        self.write(command).await
    }

    async fn remove(&self, index: &str, name: &str) -> Result<bool, LayerError> {
        let mut command = command("ZREM", self.commands.keys().index(index));
        command.arg(name);
        self.write(command).await
    }

    async fn rank(&self, index: &str, name: &str) -> Result<Option<u64>, LayerError> {
        let mut command = command("ZSCORE", self.commands.keys().index(index));
        command.arg(name);
        let rank: Option<f64> = self.run(command).await?;
        Ok(rank.map(whole))
    }

    async fn ranks(&self, indexes: &[String], name: &str) -> Result<Vec<Option<u64>>, LayerError> {
        let keys = indexes.iter().map(|index| self.commands.keys().index(index));
        let ranks: Vec<Option<f64>> = self.run_each("ZSCORE", keys, &[name]).await?;
        Ok(ranks.into_iter().map(|rank| rank.map(whole)).collect())
    }

    async fn top(&self, index: &str, limit: usize) -> Result<Vec<(String, u64)>, LayerError> {
        if limit == 0 {
            return Ok(Vec::new()); // 0 to -1 would be all of them
        }
        let mut command = command("ZREVRANGE", self.commands.keys().index(index));
        command.arg(0).arg(limit - 1).arg("WITHSCORES");
        let ranked: Vec<(String, f64)> = self.run(command).await?;
        Ok(whole_ranks(ranked))
    }

    async fn tops(&self, indexes: &[String], limit: usize) -> Result<Vec<Vec<(String, u64)>>, LayerError> {
        let Some(last) = limit.checked_sub(1) else { return Ok(vec![Vec::new(); indexes.len()]) };
        let keys = indexes.iter().map(|index| self.commands.keys().index(index));
        let tops = self.run_each("ZREVRANGE", keys, &["0", &last.to_string(), "WITHSCORES"]).await?;
        Ok(tops.into_iter().map(whole_ranks).collect())
    }

    async fn count(&self, index: &str) -> Result<usize, LayerError> {
        self.run(command("ZCARD", self.commands.keys().index(index))).await
    }

    async fn counts(&self, indexes: &[String]) -> Result<Vec<usize>, LayerError> {
        self.run_each("ZCARD", indexes.iter().map(|index| self.commands.keys().index(index)), &[]).await
    }

    async fn trim(&self, index: &str, keep: usize) -> Result<(), LayerError> {
        let mut command = command("ZREMRANGEBYRANK", self.commands.keys().index(index));
        let kept = i64::try_from(keep).unwrap_or(i64::MAX - 1);
        command.arg(0).arg(-kept - 1);
        self.run(command).await
    }

    async fn clear(&self, index: &str) -> Result<(), LayerError> {
        self.write(command("UNLINK", self.commands.keys().index(index))).await
    }
}

/// An operation of `step.lua`.
struct Operation<'a> {
    key: StoreKey<'a>,
    name: &'static str,
    text: &'a str,
    number: u64,
}

enum StoreKey<'a> {
    Record(&'a str),
    Index(&'a str),
    Announced,
    Members(&'a Group),
    Log(&'a Group),
}

fn check<'a>(guard: &Guard<'a>) -> Operation<'a> {
    let (key, name, text, number) = match *guard {
        Guard::Announced { change } => (StoreKey::Announced, "announced", change, 0),
        Guard::Record { key, value: Some(value) } => (StoreKey::Record(key), "equals", value, 0),
        Guard::Record { key, value: None } => (StoreKey::Record(key), "absent", "", 0),
        Guard::RankAbove { index, name, rank } => (StoreKey::Index(index), "above", name, rank),
        Guard::Fits { index, name, limit } => (StoreKey::Index(index), "fits", name, limit as u64),
        Guard::NoMembers { group } => (StoreKey::Members(group), "no_members", "", 0),
        Guard::NoEvents { group } => (StoreKey::Log(group), "no_events", "", 0),
    };
    Operation { key, name, text, number }
}

fn operation<'a>(change: &Change<'a>) -> Operation<'a> {
    let (key, name, text, number) = match *change {
        Change::Put { key, value } => (StoreKey::Record(key), "put", value, 0),
        Change::Delete { key } => (StoreKey::Record(key), "delete", "", 0),
        Change::Add { index, name, rank } => (StoreKey::Index(index), "add", name, rank),
        Change::Remove { index, name } => (StoreKey::Index(index), "remove", name, 0),
        Change::RemoveRanked { index, name, rank } => (StoreKey::Index(index), "remove_ranked", name, rank),
        Change::Trim { index, keep } => (StoreKey::Index(index), "trim", "", keep as u64),
        Change::Clear { index } => (StoreKey::Index(index), "delete", "", 0),
    };
    Operation { key, name, text, number }
}

/// Returns a corrupt record for a key that holds a value of another type, and for text that is not
/// UTF-8.
fn mistyped(error: LayerError, command: &Cmd) -> LayerError {
    let problem = match &error {
        LayerError::Refused { kind: RedisRefusal::WrongType, .. } => "a value of another type",
        LayerError::UnexpectedReply(_) => "not UTF-8, or a value of another shape",
        _ => return error,
    };
    match command.args_iter().nth(1) {
        Some(Arg::Simple(key)) => LayerError::corrupt_record(String::from_utf8_lossy(key), problem),
        _ => error,
    }
}

fn command(name: &str, key: String) -> Cmd {
    let mut command = Cmd::new();
    command.arg(name).arg(key);
    command
}

fn set(key: String, value: &str, ttl: Option<Duration>) -> Cmd {
    let mut command = command("SET", key);
    command.arg(value);
    if let Some(ttl) = ttl {
        command.arg("PX").arg(millis(ttl).max(1));
    }
    command
}

fn whole_ranks(ranked: Vec<(String, f64)>) -> Vec<(String, u64)> {
    ranked.into_iter().map(|(name, rank)| (name, whole(rank))).collect()
}

/// Converts a rank from Redis' floating-point number. Ranks are whole numbers below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks are whole numbers")]
fn whole(rank: f64) -> u64 {
    rank as u64
}
