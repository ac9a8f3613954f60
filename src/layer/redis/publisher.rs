//! The publisher: appends events to logs, each once, and none after its caller got an error.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::layer::contract::IDEMPOTENCY_WINDOW;
use crate::layer::error::LayerError;
use crate::layer::log::{Appended, IdempotencyKey, Retention};
use crate::layer::redis::clock::RedisClock;
use crate::layer::redis::command_queue::{APPEND_TIMEOUT, CommandQueue};
use crate::layer::redis::commands::Commands;
use crate::layer::redis::keys;
use crate::layer::redis::publish_batch::{AppendReply, PendingAppend};
use crate::layer::redis::scripts::Scripts;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::time::millis;

pub(super) struct Publisher {
    queue: Arc<CommandQueue>,
    commands: Arc<Commands>,
    scripts: Arc<Scripts>,
    retention: Retention,
    clock: Arc<RedisClock>,
}

impl Publisher {
    pub(super) fn new(
        queue: Arc<CommandQueue>,
        commands: Arc<Commands>,
        scripts: Arc<Scripts>,
        retention: Retention,
        clock: Arc<RedisClock>,
    ) -> Self {
        Self { queue, commands, scripts, retention, clock }
    }

    /// Appends an event.
    ///
    /// A Redis that was frozen runs the commands that waited for it. The script knows the caller's
    /// deadline by Redis' own clock, and does nothing after it.
    pub(super) async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        let called_at = Instant::now();
        loop {
            let left = APPEND_TIMEOUT.saturating_sub(called_at.elapsed());
            let deadline = self.clock.now() + millis(left);
            let appended = self.append_until(group, event, key, deadline).await;
            match appended.inspect_err(|error| self.commands.health().on_error(error))? {
                AppendReply::Appended(appended) => return Ok(appended),
                AppendReply::Corrupt => {
                    let key = key.map_or_else(String::new, |key| {
                        self.commands.keys().idempotency_key(group, &key.name)
                    });
                    return Err(LayerError::corrupt_record(key, "not an id and a digest"));
                }
                AppendReply::Late(now) => {
                    // Or Redis' clock was set.
                    if let Some(now) = now {
                        self.clock.learn(now);
                    }
                    if called_at.elapsed() > APPEND_TIMEOUT / 2 {
                        return Err(LayerError::TimedOut("append an event"));
                    }
                }
            }
        }
    }

    async fn append_until(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
        deadline: u64,
    ) -> Result<AppendReply, LayerError> {
        // `WAIT` blocks its connection, which the pipeline must not be.
        if self.retention.replicas == 0 {
            let (key_name, digest) =
                key.map(|key| (key.name.clone(), key.digest.clone())).unwrap_or_default();
            let (reply, wait) = oneshot::channel();
            let is_queued = self.queue.append(PendingAppend {
                group: group.clone(),
                open: event.encode_open(),
                key_name,
                digest,
                deadline,
                queued_at: Instant::now(),
                reply,
            });
            match wait.await {
                Ok(reply) => return reply,
                // It may be in the log: without a key it must not be appended again.
                Err(_) if is_queued && key.is_none() => {
                    return Err(LayerError::Unreachable("the connection was closed".into()));
                }
                Err(_) => {}
            }
        }
        let (key_name, digest) = key.map_or(("", ""), |key| (&key.name, &key.digest));
        let mut script = self.scripts.append.key(self.commands.keys().log(group));
        script
            .key(self.commands.keys().redactions(group))
            .key(self.commands.keys().idempotency_key(group, key_name));
        script
            .arg(keys::channel(group))
            .arg(self.retention.messages)
            .arg(millis(self.retention.age))
            .arg(millis(IDEMPOTENCY_WINDOW))
            .arg(rand::random::<u16>())
            .arg(self.retention.bytes)
            .arg(""); // another server may be reached at each call: the script asks for its run id
        script.arg(event.encode_open()).arg(deadline).arg(digest);
        let late = |_| LayerError::TimedOut("append an event");
        let (reply,): (String,) = match self.retention.replicas {
            0 => timeout(APPEND_TIMEOUT, self.commands.script(&script)).await,
            replicas => timeout(APPEND_TIMEOUT, self.commands.replicated(&script, replicas)).await,
        }
        .map_err(late)??;
        Ok(AppendReply::parse(&reply))
    }
}
