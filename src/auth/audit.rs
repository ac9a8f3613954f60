//! The audit log: actions of operators, each with actor, action, subject and time.
//!
//! | record | what |
//! |---|---|
//! | index `audit:<actor>` | the newest [`MAX_AUDIT_ENTRIES`] entries of an actor, JSON, by time |
//! | index `auditors` | actors, by the time of their last entry |
//!
//! Each actor has a log of its own: none can push the entries of others out.

use std::cmp::Reverse;

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
    let mut entries: Vec<AuditEntry> = Vec::new();
    for (actor, _) in store.top(ACTORS, MAX_ACTORS).await? {
        let index = index(&actor);
        for (entry, _) in store.top(&index, limit).await? {
            entries.push(shared_store::parse(&index, &entry)?);
        }
        entries.sort_by_key(|entry| Reverse(entry.at));
        entries.truncate(limit);
    }
    Ok(entries)
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
