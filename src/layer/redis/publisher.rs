//! The publisher: appends events to logs, each once, and none after its caller got an error.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::layer::contract::IDEMPOTENCY_WINDOW;
use crate::layer::error::LayerError;
use crate::layer::log::{Appended, IdempotencyKey, Retention};
use crate::layer::redis::command_queue::APPEND_TIMEOUT;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::publish_batch::{AppendReply, PendingAppend};
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::shards::Shard;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::time::millis;

pub(super) struct Publisher {
    pub(super) commands: Arc<Commands>,
    pub(super) scripts: Arc<Scripts>,
    pub(super) retention: Retention,
}

impl Publisher {
    /// Appends an event: by the pipeline of its shard, else by a command.
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
            let shard = self.commands.shards().of(group);
            let left = APPEND_TIMEOUT.saturating_sub(called_at.elapsed());
            let deadline = shard.clock.now() + millis(left);
            let queued = self.append_by_pipeline(&shard, group, event, key, deadline).await;
            let appended = match queued {
                Ok(AppendReply::Redirected) => self.append_by_command(group, event, key, deadline).await,
                queued => queued,
            };
            match appended.inspect_err(|error| shard.health().on_error(error))? {
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
                        shard.clock.learn(now);
                    }
                    if called_at.elapsed() > APPEND_TIMEOUT / 2 {
                        return Err(LayerError::TimedOut("append an event"));
                    }
                }
                AppendReply::Redirected => return Err(LayerError::UnexpectedReply("append.lua")),
            }
        }
    }

    /// Appends an event by the pipeline; `Redirected` if a command has to do it.
    async fn append_by_pipeline(
        &self,
        shard: &Shard,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
        deadline: u64,
    ) -> Result<AppendReply, LayerError> {
        // `WAIT` blocks its connection, which the pipeline must not be.
        if self.retention.replicas > 0 {
            return Ok(AppendReply::Redirected);
        }
        let (key_name, digest) = key.map(|key| (key.name.clone(), key.digest.clone())).unwrap_or_default();
        let (reply, wait) = oneshot::channel();
        let is_queued = shard.queue.append(PendingAppend {
            group: group.clone(),
            open: event.encode_open(),
            key_name,
            digest,
            deadline,
            queued_at: Instant::now(),
            reply,
        });
        match wait.await {
            Ok(reply) => reply,
            // It may be in the log: without a key it must not be appended again.
            Err(_) if is_queued && key.is_none() => {
                Err(LayerError::Unreachable("the connection was closed".into()))
            }
            Err(_) => Ok(AppendReply::Redirected),
        }
    }

    /// Appends an event by a command, which goes wherever the slot of the log is.
    async fn append_by_command(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
        deadline: u64,
    ) -> Result<AppendReply, LayerError> {
        let (keys, (key_name, digest)) =
            (self.commands.keys(), key.map_or(("", ""), |key| (&key.name, &key.digest)));
        let mut script = self.scripts.append.key(keys.log(group));
        script.key(keys.redactions(group)).key(keys.idempotency_key(group, key_name));
        script
            .arg(keys.channel(group))
            .arg(self.retention.messages)
            .arg(millis(self.retention.age))
            .arg(millis(IDEMPOTENCY_WINDOW))
            .arg(rand::random::<u16>())
            .arg(self.retention.bytes)
            .arg(""); // another server may be reached at each call: the script asks for its run id
        script.arg(event.encode_open()).arg(deadline).arg(digest);
        let appended = self.commands.written(&script, self.retention.replicas);
        let (reply,): (String,) = timeout(APPEND_TIMEOUT, appended)
            .await
            .map_err(|_| LayerError::TimedOut("append an event"))??;
        Ok(AppendReply::parse(&reply))
    }
}
