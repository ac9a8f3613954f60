//! The audit log: actions of operators, each with actor, action, subject and time.
//!
//! | record | what |
//! |---|---|
//! | index `audit:<actor>` | the newest [`MAX_AUDIT_ENTRIES`] entries of an actor, JSON, by time |
//! | index `auditors` | actors, by the time of their last entry |
//!
//! Each actor has a log of its own: none can push the entries of others out.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::layer::LayerError;
use crate::layer::{Index, SharedStore, shared_store};
use crate::wire::time::now;

/// The number of entries that the log retains of each actor.
pub const MAX_AUDIT_ENTRIES: usize = 10_000;
/// The number of actors whose entries are retained.
const MAX_ACTORS: usize = 1000;
const ACTORS: &str = "auditors";

/// An action of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The time, in milliseconds since 1970.
    pub at: u64,
    /// The name of the actor.
    pub who: String,
    /// The action: an identifier chosen by the application or a command.
    pub what: String,
    /// The subject of the action: such as a username.
    pub about: String,
}

/// Writes an entry. Callers write it before the action: a failed action may have an entry, and no
/// action lacks one.
pub(crate) async fn write(store: &SharedStore, who: &str, what: &str, about: &str) -> Result<(), LayerError> {
    let index = index(who);
    let [who, what, about] = [who, what, about].map(str::to_owned);
    let mut entry = AuditEntry { at: now(), who, what, about };
    store.add(ACTORS, &entry.who, entry.at).await?;
    // An index holds each member once: a repeated action within one millisecond gets the next one.
    while !store.add(&index, &shared_store::json(&entry), entry.at).await? {
        entry.at += 1;
    }
    store.trim(&index, MAX_AUDIT_ENTRIES).await
}

/// Returns the newest entries, the newest first.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer, or one of the entries is corrupt.
pub(crate) async fn read(store: &SharedStore, limit: usize) -> Result<Vec<AuditEntry>, LayerError> {
    let actors = store.top(ACTORS, MAX_ACTORS).await?;
    let mut unread: Vec<String> = actors.iter().map(|(actor, _)| index(actor)).collect();
    let mut share = limit.div_ceil(unread.len().max(1));
    let mut logs: HashMap<String, Vec<(String, u64)>> = HashMap::new();
    while !unread.is_empty() {
        let read = store.tops(&unread, share).await?;
        logs.extend(unread.drain(..).zip(read));
        let oldest = newest(&logs, limit).get(limit.saturating_sub(1)).map(|(_, _, at)| *at);
        // Twice as many of the actors that may have more of the newest: little more is read than
        // is returned.
        let goes_on = |log: &[(String, u64)]| {
            log.len() == share && log.last().is_some_and(|(_, at)| Some(*at) > oldest)
        };
        unread.extend(logs.iter().filter(|(_, log)| goes_on(log)).map(|(index, _)| index.clone()));
        share *= 2;
    }
    newest(&logs, limit).into_iter().map(|(index, entry, _)| shared_store::parse(index, entry)).collect()
}

/// Returns the newest entries with the indexes that they are in and their times, the newest first.
fn newest(logs: &HashMap<String, Vec<(String, u64)>>, limit: usize) -> Vec<(&str, &str, u64)> {
    let mut entries: Vec<(&str, &str, u64)> = Vec::new();
    for (index, log) in logs {
        entries.extend(log.iter().map(|(entry, at)| (index.as_str(), entry.as_str(), *at)));
    }
    entries.sort_unstable_by_key(|(_, _, at)| Reverse(*at));
    entries.truncate(limit);
    entries
}

fn index(actor: &str) -> String {
    format!("audit:{actor}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::memory::store::MemoryStore;

    #[tokio::test]
    async fn equal_entries_are_kept_apart_and_the_oldest_are_dropped() {
        let store = SharedStore::Memory(MemoryStore::default());
        for _ in 0..100 {
            write(&store, "ann", "ban", "bob").await.unwrap();
        }
        let entries = read(&store, MAX_AUDIT_ENTRIES).await.unwrap();
        assert_eq!(entries.len(), 100);
        assert!(entries.is_sorted_by(|a, b| a.at > b.at), "{entries:?}");
        for at in 0..2 * u64::try_from(MAX_AUDIT_ENTRIES).unwrap() {
            let [who, what, about] = ["eve", "ban", "bob"].map(str::to_owned);
            store
                .add("audit:eve", &shared_store::json(&AuditEntry { at, who, what, about }), at)
                .await
                .unwrap();
        }
        write(&store, "eve", "unban", "bob").await.unwrap();
        assert_eq!(store.count("audit:eve").await.unwrap(), MAX_AUDIT_ENTRIES);
        let entries = read(&store, MAX_AUDIT_ENTRIES).await.unwrap();
        let of_ann = entries.iter().filter(|entry| entry.who == "ann").count();
        assert_eq!(of_ann, 100, "however many another actor writes");
    }

    #[tokio::test]
    async fn the_newest_entries_of_all_actors_are_returned() {
        let store = SharedStore::Memory(MemoryStore::default());
        // One actor has the newest 40, two have every other one before, the fourth has the oldest.
        let actor = |at: u64| match at {
            0..300 => "eve",
            960.. => "ann",
            _ if at.is_multiple_of(2) => "bob",
            _ => "zed",
        };
        for at in 0..1000 {
            let [who, what, about] = [actor(at), "ban", "guest"].map(str::to_owned);
            store.add(ACTORS, &who, at).await.unwrap();
            let entry = AuditEntry { at, who, what, about };
            store.add(&index(&entry.who), &shared_store::json(&entry), at).await.unwrap();
        }
        for limit in [0, 1, 50, 500, 980, 2000] {
            let entries = read(&store, limit).await.unwrap();
            let times: Vec<u64> = entries.iter().map(|entry| entry.at).collect();
            assert_eq!(times, (0..1000).rev().take(limit).collect::<Vec<_>>());
            assert!(entries.iter().all(|entry| entry.who == actor(entry.at)));
        }
    }

    #[tokio::test]
    async fn an_entry_that_cannot_be_parsed_is_a_corrupt_record() {
        let store = SharedStore::Memory(MemoryStore::default());
        write(&store, "ann", "ban", "bob").await.unwrap();
        for corrupt in ["", "{", "7", r#"{"at":1}"#] {
            store.add("audit:ann", corrupt, 1).await.unwrap();
            let error = read(&store, MAX_AUDIT_ENTRIES).await.unwrap_err();
            assert!(matches!(&error, LayerError::CorruptRecord { key, .. } if key == "audit:ann"), "{error}");
            store.remove("audit:ann", corrupt).await.unwrap();
        }
        assert_eq!(read(&store, MAX_AUDIT_ENTRIES).await.unwrap().len(), 1);
    }
}
