//! Appends: events on their way into a log. Those of one group that come together are written by one call of the script.

use std::time::{Duration, Instant};

use redis::Script;
use tokio::sync::oneshot;

use super::keys::channel;
use super::log;
use super::resp::{self, Value};
use crate::layer::Retention;
use crate::layer::contract::IDEMPOTENCY_WINDOW;
use crate::layer::error::LayerError;
use crate::wire::group::Group;
use crate::wire::time::millis;

/// Most events of one call, and about how many bytes: Redis does nothing else meanwhile.
const MOST: usize = 128;
const MOST_BYTES: usize = 256 * 1024;
/// Arguments of the script that are not one event's.
const HEAD: usize = 4;

/// The script, and what each call of it says of the logs.
pub(super) struct Appender {
    script: Script,
    keep: Retention,
}

/// One event, open, on its way into its group's log.
pub(super) struct Append {
    pub(super) group: Group,
    pub(super) open: Vec<u8>,
    /// The name that its sender gave it, and the digest of what it named so; empty if it has none.
    pub(super) name: String,
    pub(super) digest: String,
    /// When its sender gives up, in ms since 1970 by Redis' clock.
    pub(super) given_up: u64,
    /// When it came.
    pub(super) at: Instant,
    pub(super) answer: oneshot::Sender<Result<Verdict, LayerError>>,
}

/// What the script says of an event, and an id or the time.
pub(super) struct Verdict {
    pub(super) what: String,
    pub(super) text: String,
}

/// Events of one group, the first one the oldest.
pub(super) struct Batch {
    at: Instant,
    appends: Vec<Append>,
    bytes: usize,
}

impl Appender {
    pub(super) fn new(keep: Retention) -> Self {
        Self { script: Script::new(include_str!("scripts/append.lua")), keep }
    }

    /// The command that makes Redis know the script.
    pub(super) fn load(out: &mut Vec<u8>) {
        resp::command(out, &[b"SCRIPT", b"LOAD", include_bytes!("scripts/append.lua")]);
    }

    /// The command that writes a batch.
    pub(super) fn write(&self, batch: &Batch, out: &mut Vec<u8>) {
        let group = &batch.appends[0].group;
        let count = batch.appends.len();
        resp::begin(out, 3 + 2 + count + HEAD + 3 * count);
        resp::argument(out, b"EVALSHA");
        resp::argument(out, self.script.get_hash().as_bytes());
        resp::argument(out, (2 + count).to_string().as_bytes());
        resp::argument(out, log::key(group).as_bytes());
        resp::argument(out, log::redacted(group).as_bytes());
        for append in &batch.appends {
            resp::argument(out, log::sent(group, &append.name).as_bytes());
        }
        resp::argument(out, channel(group).as_bytes());
        for number in [self.keep.messages as u64, millis(self.keep.age), millis(IDEMPOTENCY_WINDOW)] {
            resp::argument(out, number.to_string().as_bytes());
        }
        for append in &batch.appends {
            resp::argument(out, &append.open);
            resp::argument(out, append.given_up.to_string().as_bytes());
            resp::argument(out, append.digest.as_bytes());
        }
    }
}

impl Append {
    /// Answers that Redis took too long. The event may be in the log all the same.
    pub(super) fn time_out(self) {
        let _ = self.answer.send(Err(LayerError::TimedOut("append an event"))); // it may have gone
    }
}

impl Batch {
    pub(super) fn new(append: Append) -> Self {
        Self { at: append.at, bytes: append.open.len(), appends: vec![append] }
    }

    /// Takes one more event, or gives it back when it is of another group or too much.
    pub(super) fn take(&mut self, append: Append) -> Result<(), Append> {
        let full = self.appends.len() == MOST || self.bytes + append.open.len() > MOST_BYTES;
        if full || self.appends[0].group != append.group {
            return Err(append);
        }
        self.bytes += append.open.len();
        self.appends.push(append);
        Ok(())
    }

    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }

    /// Tells each sender what became of its event.
    pub(super) fn answer(self, answer: &Value<'_>) {
        let answers = if let Value::List(answers) = answer { answers.as_slice() } else { &[] };
        for (append, answer) in self.appends.into_iter().zip(answers.chunks_exact(2)) {
            let text = |value: &Value<'_>| value.text().unwrap_or_default().to_owned();
            let verdict = Verdict { what: text(&answer[0]), text: text(&answer[1]) };
            let _ = append.answer.send(Ok(verdict)); // it may have gone
        }
    }

    /// Answers each append with this error.
    pub(super) fn refuse(self, error: &LayerError) {
        for append in self.appends {
            let _ = append.answer.send(Err(error.clone()));
        }
    }

    /// Answers each append that Redis took too long.
    pub(super) fn time_out(&mut self) {
        for append in self.appends.drain(..) {
            append.time_out();
        }
    }
}
