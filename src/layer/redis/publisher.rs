//! The writer: puts events into logs, each once, and none after its sender was told that it failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use redis::Script;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::commands::Commands;
use super::keys::channel;
use super::log;
use crate::layer::contract::IDEMPOTENCY_WINDOW;
use crate::layer::error::LayerError;
use crate::layer::redis::command_queue::{CommandQueue, PATIENCE};
use crate::layer::redis::publish_batch::{Append, Verdict};
use crate::layer::{Appended, IdempotencyKey, Retention};
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::time::{millis, now};

pub(super) struct Publisher {
    line: Arc<CommandQueue>,
    commands: Arc<Commands>,
    keep: Retention,
    /// For events that do not go over the line.
    append: Script,
    /// By how many milliseconds Redis' clock is ahead of ours.
    ahead: AtomicI64,
}

impl Publisher {
    pub(super) fn new(line: Arc<CommandQueue>, commands: Arc<Commands>, keep: Retention) -> Self {
        let append = Script::new(include_str!("scripts/append.lua"));
        Self { line, commands, keep, append, ahead: AtomicI64::new(0) }
    }

    /// A Redis that was frozen runs what has waited for it. The script knows when the sender gave up, by Redis' own
    /// clock, and does nothing after that.
    pub(super) async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        let begun = Instant::now();
        let given_up = now() + millis(PATIENCE);
        loop {
            let given_up = given_up.saturating_add_signed(self.ahead.load(Ordering::Relaxed));
            let Verdict { what, text } = self.write(group, event, key, given_up).await?;
            match (what.as_str(), text.parse()) {
                ("new", Ok(id)) => return Ok(Appended::New(id)),
                ("known", Ok(id)) => return Ok(Appended::Duplicate(id)),
                ("conflict", _) => return Ok(Appended::Conflict),
                _ => {
                    // Late; or our idea of Redis' clock is wrong, and now right.
                    let theirs: i64 = text.parse().unwrap_or_default();
                    self.ahead.store(theirs.saturating_sub_unsigned(now()), Ordering::Relaxed);
                    if begun.elapsed() > PATIENCE / 2 {
                        return Err(LayerError::TimedOut("append an event"));
                    }
                }
            }
        }
    }

    async fn write(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
        given_up: u64,
    ) -> Result<Verdict, LayerError> {
        // `WAIT` holds its connection up, which the line must not be.
        if self.keep.replicas == 0 {
            let (name, digest) = key.map(|key| (key.name.clone(), key.digest.clone())).unwrap_or_default();
            let (group, open, at) = (group.clone(), event.encode_open(), Instant::now());
            let (answer, wait) = oneshot::channel();
            let asked = self.line.append(Append { group, open, name, digest, given_up, at, answer });
            match wait.await {
                Ok(answer) => return answer,
                // It may have been written before the line was cut: whoever has no key must not ask again.
                Err(_) if asked && key.is_none() => {
                    return Err(LayerError::Unreachable("the connection was closed".into()));
                }
                Err(_) => {}
            }
        }
        let (name, digest) = key.map_or(("", ""), |key| (&key.name, &key.digest));
        let mut script = self.append.key(log::key(group));
        script.key(log::redacted(group)).key(log::sent(group, name));
        script
            .arg(channel(group))
            .arg(self.keep.messages)
            .arg(millis(self.keep.age))
            .arg(millis(IDEMPOTENCY_WINDOW));
        script.arg(event.encode_open()).arg(given_up).arg(digest);
        let late = |_| LayerError::TimedOut("append an event");
        let (what, text) = match self.keep.replicas {
            0 => timeout(PATIENCE, self.commands.script(&script)).await,
            replicas => timeout(PATIENCE, self.commands.replicated(&script, replicas)).await,
        }
        .map_err(late)??;
        Ok(Verdict { what, text })
    }
}
