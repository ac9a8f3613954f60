//! The writer: puts events into logs, each once, and none after its sender was told that it failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use redis::Script;
use tokio::time::{Instant, timeout};

use super::commands::Commands;
use super::{channel, log};
use crate::clock::{millis, now};
use crate::error::Unavailable;
use crate::event::Event;
use crate::group::Group;
use crate::layer::{Appended, Keep, Key, REMEMBERED};

/// How long an event may take to be written, from the moment when it is given to the layer.
const PATIENCE: Duration = Duration::from_millis(800);

pub(super) struct Writer {
    commands: Arc<Commands>,
    keep: Keep,
    append: Script,
    /// By how many milliseconds Redis' clock is ahead of ours.
    ahead: AtomicI64,
}

impl Writer {
    pub(super) fn new(commands: Arc<Commands>, keep: Keep) -> Self {
        let append = Script::new(include_str!("append.lua"));
        Self { commands, keep, append, ahead: AtomicI64::new(0) }
    }

    pub(super) async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&Key>,
    ) -> Result<Appended, Unavailable> {
        match timeout(PATIENCE, self.write(group, event, key)).await {
            Ok(appended) => appended,
            Err(_) => Err(Unavailable::new("Redis took too long")),
        }
    }

    /// A Redis that was frozen runs what has waited for it. The script knows when the sender gave up, by Redis' own
    /// clock, and does nothing after that.
    async fn write(&self, group: &Group, event: &Event, key: Option<&Key>) -> Result<Appended, Unavailable> {
        let begun = Instant::now();
        let given_up = now() + millis(PATIENCE);
        let open = event.encode_open();
        let (name, digest) = key.map_or(("", ""), |key| (&key.name, &key.digest));
        loop {
            let mut script = self.append.key(log::key(group));
            script.key(log::sent(group, name));
            script.arg(channel(group)).arg(&open).arg(self.keep.messages).arg(millis(self.keep.age));
            script.arg(given_up.saturating_add_signed(self.ahead.load(Ordering::Relaxed)));
            script.arg(digest).arg(millis(REMEMBERED));
            let (verdict, text): (String, String) = match self.keep.replicas {
                0 => self.commands.script(&script).await?,
                replicas => self.commands.replicated(&script, replicas).await?,
            };
            match (verdict.as_str(), text.parse()) {
                ("new", Ok(id)) => return Ok(Appended::New(id)),
                ("known", Ok(id)) => return Ok(Appended::Known(id)),
                ("conflict", _) => return Ok(Appended::Conflict),
                _ => {
                    // Late; or our idea of Redis' clock is wrong, and now right.
                    let theirs: i64 = text.parse().unwrap_or_default();
                    self.ahead.store(theirs.saturating_sub_unsigned(now()), Ordering::Relaxed);
                    if begun.elapsed() > PATIENCE / 2 {
                        return Err(Unavailable::new("Redis was too late"));
                    }
                }
            }
        }
    }
}
