//! A chat consumer of Django Channels, in a process of its own.

use std::process::Command;

use serde_json::Value;

use super::process_tree::ProcessTree;
use super::python::program;
use super::redis::Redis;
use super::wait::{PATIENCE, until};

pub struct ChannelsConsumer {
    process: ProcessTree,
    /// How many lines of its output were read.
    read: usize,
}

impl ChannelsConsumer {
    /// Starts the consumer, and waits until it is in the group of the room.
    pub async fn join(redis: &Redis, room: &str) -> Self {
        let process = ProcessTree::spawn("channels_consumer.py", &mut command(redis, room));
        let mut consumer = Self { process, read: 0 };
        assert_eq!(consumer.line().await, "joined");
        consumer
    }

    /// Returns the next event of the room.
    pub async fn receive(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    async fn line(&mut self) -> String {
        let (process, read) = (&mut self.process, self.read);
        self.read += 1;
        until(PATIENCE, "a line of a consumer", async || {
            assert!(process.ended().is_none(), "the consumer ended: {}", process.stderr.text());
            process.stdout.all().get(read).cloned().ok_or_else(|| process.stderr.text())
        })
        .await
    }
}

/// Sends a message to the room, as a view of Django does.
pub async fn say(redis: &Redis, room: &str, text: &str) {
    let mut process = ProcessTree::spawn("channels_consumer.py", command(redis, room).arg(text));
    let status = process.exit(PATIENCE).await;
    assert!(status.success(), "{status}: {}", process.stderr.text());
}

fn command(redis: &Redis, room: &str) -> Command {
    let mut command = Command::new(program("python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chat/channels_consumer.py"));
    command.args([&redis.url(), room]);
    command
}
