//! Events on their way into a log. Those of one group that wait together are appended by one call
//! of the script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::layer::contract::IDEMPOTENCY_WINDOW;
use crate::layer::error::LayerError;
use crate::layer::log::{Appended, Retention};
use crate::layer::redis::keys::Keys;
use crate::layer::redis::resp::{self, Value};
use crate::layer::redis::scripts::Scripts;
use crate::wire::group::Group;
use crate::wire::time::millis;

/// Events of one call: Redis does nothing else meanwhile.
const MAX_BATCH_EVENTS: usize = 128;
/// Bytes of the events of one call, approximately.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Arguments of the script before those of the events.
const HEAD_ARGUMENTS: usize = 7;
/// Arguments of the script for each event.
const EVENT_ARGUMENTS: usize = 3;

/// Encodes batches as calls of `append.lua`.
pub(super) struct BatchEncoder {
    scripts: Arc<Scripts>,
    keys: Keys,
    retention: Retention,
}

/// One event on its way into its group's log.
pub(super) struct PendingAppend {
    pub(super) group: Group,
    /// The encoded event, open for its position.
    pub(super) open: Vec<u8>,
    /// The name and the digest of the idempotency key; empty without one.
    pub(super) key_name: String,
    pub(super) digest: String,
    /// When the caller gives up, in Unix milliseconds of Redis' clock.
    pub(super) deadline: u64,
    pub(super) queued_at: Instant,
    pub(super) reply: oneshot::Sender<Result<AppendReply, LayerError>>,
}

/// What the script returns for an event.
pub(super) enum AppendReply {
    Appended(Appended),
    /// The idempotency key has no valid value.
    Corrupt,
    /// The deadline is over: Redis' time, if it is one.
    Late(Option<u64>),
    /// The slot of the log is at another shard, or moves there: nothing was appended.
    Redirected,
}

/// Events of one group, the oldest first.
pub(super) struct PublishBatch {
    queued_at: Instant,
    appends: Vec<PendingAppend>,
    bytes: usize,
    /// It was too old when it was last looked at.
    is_overdue: bool,
}

impl BatchEncoder {
    pub(super) fn new(scripts: Arc<Scripts>, keys: Keys, retention: Retention) -> Self {
        Self { scripts, keys, retention }
    }

    /// Writes the command that appends a batch, for the server whose run id begins so.
    pub(super) fn encode(&self, batch: &PublishBatch, run_id: &str, out: &mut Vec<u8>) {
        let group = &batch.appends[0].group;
        let count = batch.appends.len();
        resp::begin(out, 3 + 2 + count + HEAD_ARGUMENTS + EVENT_ARGUMENTS * count);
        resp::argument(out, b"EVALSHA");
        resp::argument(out, self.scripts.append.hash().as_bytes());
        resp::argument(out, (2 + count).to_string().as_bytes());
        resp::argument(out, self.keys.log(group).as_bytes());
        resp::argument(out, self.keys.redactions(group).as_bytes());
        for append in &batch.appends {
            resp::argument(out, self.keys.idempotency_key(group, &append.key_name).as_bytes());
        }
        resp::argument(out, self.keys.channel(group).as_bytes());
        let Retention { messages, bytes, age, .. } = self.retention;
        let nonce = rand::random::<u16>().into();
        for number in [messages as u64, millis(age), millis(IDEMPOTENCY_WINDOW), nonce, bytes as u64] {
            resp::argument(out, number.to_string().as_bytes());
        }
        resp::argument(out, run_id.as_bytes());
        for append in &batch.appends {
            resp::argument(out, &append.open);
            resp::argument(out, append.deadline.to_string().as_bytes());
            resp::argument(out, append.digest.as_bytes());
        }
    }
}

impl AppendReply {
    pub(super) fn parse(reply: &str) -> Self {
        let mut words = reply.split(' ');
        let (status, value) = (words.next(), words.next().unwrap_or_default());
        let offset = words.next().and_then(|offset| offset.parse().ok());
        match (status, value.parse()) {
            (Some("new"), Ok(id)) => Self::Appended(Appended::New(id, offset)),
            (Some("known"), Ok(id)) => Self::Appended(Appended::Duplicate(id, offset)),
            (Some("conflict"), _) => Self::Appended(Appended::Conflict),
            (Some("corrupt" | "known"), _) => Self::Corrupt,
            _ => Self::Late(value.parse().ok()),
        }
    }
}

impl PendingAppend {
    /// Fails the append because Redis took too long. The event may be in the log all the same.
    pub(super) fn time_out(self) {
        // The caller may have gone.
        let _ = self.reply.send(Err(LayerError::TimedOut("append an event")));
    }
}

impl PublishBatch {
    pub(super) fn new(append: PendingAppend) -> Self {
        Self {
            queued_at: append.queued_at,
            bytes: append.open.len(),
            appends: vec![append],
            is_overdue: false,
        }
    }

    /// Adds an event, or returns it when it is of another group or the batch is full.
    pub(super) fn push(&mut self, append: PendingAppend) -> Result<(), PendingAppend> {
        let is_full =
            self.appends.len() == MAX_BATCH_EVENTS || self.bytes + append.open.len() > MAX_BATCH_BYTES;
        if is_full || self.appends[0].group != append.group {
            return Err(append);
        }
        self.bytes += append.open.len();
        self.appends.push(append);
        Ok(())
    }

    /// Returns the age of the oldest event.
    pub(super) fn age(&self) -> Duration {
        self.queued_at.elapsed()
    }

    /// Returns whether it was older than this limit when this was last asked, and still is. Between
    /// the two the node has looked for the reply, however long it stood still before.
    pub(super) fn is_late(&mut self, limit: Duration) -> bool {
        self.age() >= limit && std::mem::replace(&mut self.is_overdue, true)
    }

    /// Completes each append with what the script returned for it.
    pub(super) fn complete(self, reply: &Value<'_>) {
        let replies = if let Value::List(replies) = reply { replies.as_slice() } else { &[] };
        for (append, reply) in self.appends.into_iter().zip(replies) {
            let reply = AppendReply::parse(reply.text().unwrap_or_default());
            let _ = append.reply.send(Ok(reply)); // the caller may have gone
        }
    }

    /// Another server has to append them.
    pub(super) fn redirect(self) {
        for append in self.appends {
            let _ = append.reply.send(Ok(AppendReply::Redirected)); // the caller may have gone
        }
    }

    /// Fails each append with this error.
    pub(super) fn fail(self, error: &LayerError) {
        for append in self.appends {
            let _ = append.reply.send(Err(error.clone())); // the caller may have gone
        }
    }

    /// Fails each append because Redis took too long.
    pub(super) fn time_out(&mut self) {
        for append in self.appends.drain(..) {
            append.time_out();
        }
    }
}
