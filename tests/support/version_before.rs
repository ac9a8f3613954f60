//! A node of the version before, as far as Redis sees it: the script by which it appends.

use super::redis::Redis;
use parlor::Event;

/// The script, from commit 5d58aa8: its entries have no offset.
const APPEND: &str = include_str!("../fixtures/append_before.lua");
/// The deadline of an append that is never late.
const NEVER: &str = "99999999999999";

pub struct VersionBefore<'a> {
    redis: &'a Redis,
    group: &'static str,
}

impl<'a> VersionBefore<'a> {
    /// In this group.
    pub fn new(redis: &'a Redis, group: &'static str) -> Self {
        Self { redis, group }
    }

    /// Appends an event and returns its id.
    pub async fn append(&self, event: &Event) -> String {
        let (status, id) = self.append_open(&open(event), "none", "").await;
        assert_eq!(status, "new");
        id
    }

    /// Appends a message of a member without a name.
    pub async fn publish(&self, text: &str) -> String {
        let message = Event::new("chat_message").with("message", text);
        self.append(&message.with("user", "0123456789abcdef").with("name", "~")).await
    }

    /// Appends an event as the log has it, under a key with this digest; returns the status and the
    /// id.
    pub async fn append_open(&self, open: &[u8], key: &str, digest: &str) -> (String, String) {
        let (group, nonce) = (self.group, rand::random::<u16>().to_string());
        let [log, redactions] = ["log", "x"].map(|kind| format!("parlor:{kind}:{{{group}}}"));
        let (key, channel) = (format!("parlor:sent:{{{group}}}:{key}"), format!("asgi__group__{group}"));
        let texts = ["EVAL", APPEND, "3", &log, &redactions, &key, &channel];
        let numbers = ["1000", "86400000", "300000", &nonce, "0"];
        let mut command: Vec<&[u8]> = texts.into_iter().chain(numbers).map(str::as_bytes).collect();
        command.extend([open, NEVER.as_bytes(), digest.as_bytes()]);
        self.redis.query(&command).await
    }
}

/// Encodes an event of a few members for an append, which adds two more.
fn open(event: &Event) -> Vec<u8> {
    let mut open = event.encode();
    open[0] += 2;
    open
}
