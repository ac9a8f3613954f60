//! The store of many nodes: records and indexes in Redis.

use std::sync::Arc;
use std::time::Duration;

use redis::{Arg, Cmd, FromRedisValue, Script};

use super::commands::Commands;
use crate::layer::error::LayerError;
use crate::telemetry::RedisRefusal;
use crate::wire::time::millis;

/// Records and indexes in Redis.
pub struct RedisStore {
    commands: Arc<Commands>,
    replace: Script,
}

impl RedisStore {
    pub(super) fn new(commands: Arc<Commands>) -> Self {
        Self { commands, replace: Script::new(include_str!("scripts/replace.lua")) }
    }

    pub(in crate::layer) async fn get(&self, key: &str) -> Result<Option<String>, LayerError> {
        self.ask(on("GET", record(key))).await
    }

    pub(in crate::layer) async fn put(
        &self,
        key: &str,
        value: &str,
        ttl: Option<Duration>,
    ) -> Result<(), LayerError> {
        self.ask(set(key, value, ttl)).await
    }

    pub(in crate::layer) async fn create(
        &self,
        key: &str,
        value: &str,
        ttl: Option<Duration>,
    ) -> Result<bool, LayerError> {
        let mut command = set(key, value, ttl);
        command.arg("NX");
        let written: Option<String> = self.ask(command).await?;
        Ok(written.is_some())
    }

    pub(in crate::layer) async fn replace(
        &self,
        key: &str,
        old: &str,
        new: &str,
    ) -> Result<bool, LayerError> {
        self.commands.script(self.replace.key(record(key)).arg(old).arg(new)).await
    }

    pub(in crate::layer) async fn take(&self, key: &str) -> Result<Option<String>, LayerError> {
        self.ask(on("GETDEL", record(key))).await
    }

    pub(in crate::layer) async fn delete(&self, key: &str) -> Result<bool, LayerError> {
        self.ask(on("DEL", record(key))).await
    }

    pub(in crate::layer) async fn refresh(
        &self,
        key: &str,
        ttl: Duration,
    ) -> Result<Option<String>, LayerError> {
        let mut command = on("GETEX", record(key));
        command.arg("PX").arg(millis(ttl).max(1));
        self.ask(command).await
    }

    pub(in crate::layer) async fn add(&self, index: &str, name: &str, rank: u64) -> Result<bool, LayerError> {
        let mut command = on("ZADD", key_of(index));
        command.arg(rank).arg(name);
        self.ask(command).await
    }

    pub(in crate::layer) async fn remove(&self, index: &str, name: &str) -> Result<bool, LayerError> {
        let mut command = on("ZREM", key_of(index));
        command.arg(name);
        self.ask(command).await
    }

    pub(in crate::layer) async fn rank(&self, index: &str, name: &str) -> Result<Option<u64>, LayerError> {
        let mut command = on("ZSCORE", key_of(index));
        command.arg(name);
        let rank: Option<f64> = self.ask(command).await?;
        Ok(rank.map(whole))
    }

    pub(in crate::layer) async fn top(
        &self,
        index: &str,
        limit: usize,
    ) -> Result<Vec<(String, u64)>, LayerError> {
        if limit == 0 {
            return Ok(Vec::new()); // 0 to -1 would be all of them
        }
        let mut command = on("ZREVRANGE", key_of(index));
        command.arg(0).arg(limit - 1).arg("WITHSCORES");
        let ranked: Vec<(String, f64)> = self.ask(command).await?;
        Ok(ranked.into_iter().map(|(name, rank)| (name, whole(rank))).collect())
    }

    pub(in crate::layer) async fn count(&self, index: &str) -> Result<usize, LayerError> {
        self.ask(on("ZCARD", key_of(index))).await
    }

    pub(in crate::layer) async fn trim(&self, index: &str, keep: usize) -> Result<(), LayerError> {
        let mut command = on("ZREMRANGEBYRANK", key_of(index));
        let last = i64::try_from(keep).unwrap_or(i64::MAX - 1);
        command.arg(0).arg(-last - 1);
        self.ask(command).await
    }

    pub(in crate::layer) async fn clear(&self, index: &str) -> Result<(), LayerError> {
        self.ask(on("UNLINK", key_of(index))).await
    }

    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T, LayerError> {
        self.commands.command(&command).await.map_err(|error| mistyped(error, &command))
    }
}

/// Returns a corrupt record for a key of ours that holds a value of another type, and for text that is not UTF-8.
fn mistyped(error: LayerError, command: &Cmd) -> LayerError {
    let problem = match &error {
        LayerError::Refused { kind: RedisRefusal::WrongType, .. } => "a value of another type",
        LayerError::UnexpectedReply(_) => "not UTF-8, or a value of another shape",
        _ => return error,
    };
    let key = match command.args_iter().nth(1) {
        Some(Arg::Simple(key)) => String::from_utf8_lossy(key).into_owned(),
        _ => return error,
    };
    LayerError::corrupt_record(key, problem)
}

fn record(key: &str) -> String {
    format!("parlor:record:{key}")
}

fn key_of(index: &str) -> String {
    format!("parlor:index:{index}")
}

fn on(command: &str, key: String) -> Cmd {
    let mut made = Cmd::new();
    made.arg(command).arg(key);
    made
}

fn set(key: &str, value: &str, ttl: Option<Duration>) -> Cmd {
    let mut command = on("SET", record(key));
    command.arg(value);
    if let Some(ttl) = ttl {
        command.arg("PX").arg(millis(ttl).max(1));
    }
    command
}

/// Redis keeps ranks as floating-point numbers; those of ours are whole and below 2^53.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks of ours are whole numbers"
)]
fn whole(rank: f64) -> u64 {
    rank as u64
}
