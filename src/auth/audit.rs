//! The audit log: actions of operators, each with actor, action, subject and time.
//!
//! | record | what |
//! |---|---|
//! | index `audit` | entries as JSON, by time; the newest [`MAX_AUDIT_ENTRIES`] |

use serde::{Deserialize, Serialize};

use crate::layer::LayerError;
use crate::layer::{Index, SharedStore, shared_store};
use crate::wire::time::now;

/// The number of entries that the log retains.
pub const MAX_AUDIT_ENTRIES: usize = 10_000;
const AUDIT: &str = "audit";

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
    let [who, what, about] = [who, what, about].map(str::to_owned);
    let mut entry = AuditEntry { at: now(), who, what, about };
    // An index holds each member once: a repeated action within one millisecond gets the next one.
    while !store.add(AUDIT, &shared_store::json(&entry), entry.at).await? {
        entry.at += 1;
    }
    store.trim(AUDIT, MAX_AUDIT_ENTRIES).await
}

/// Returns the newest entries, the newest first.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer, or one of the entries is corrupt.
pub(crate) async fn read(store: &SharedStore, limit: usize) -> Result<Vec<AuditEntry>, LayerError> {
    let entries = store.top(AUDIT, limit).await?;
    entries.iter().map(|(entry, _)| shared_store::parse(AUDIT, entry)).collect()
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
            store.add(AUDIT, &shared_store::json(&AuditEntry { at, who, what, about }), at).await.unwrap();
        }
        write(&store, "ann", "unban", "bob").await.unwrap();
        assert_eq!(store.count(AUDIT).await.unwrap(), MAX_AUDIT_ENTRIES);
        let entries = read(&store, MAX_AUDIT_ENTRIES).await.unwrap();
        let of_ann = entries.iter().filter(|entry| entry.who == "ann").count();
        assert_eq!(of_ann, 101, "what is older than they were has gone");
    }
    #[tokio::test]
    async fn an_entry_that_cannot_be_parsed_is_a_corrupt_record() {
        let store = SharedStore::Memory(MemoryStore::default());
        write(&store, "ann", "ban", "bob").await.unwrap();
        for corrupt in ["", "{", "7", r#"{"at":1}"#] {
            store.add(AUDIT, corrupt, 1).await.unwrap();
            let error = read(&store, MAX_AUDIT_ENTRIES).await.unwrap_err();
            assert!(matches!(&error, LayerError::CorruptRecord { key, .. } if key == AUDIT), "{error}");
            store.remove(AUDIT, corrupt).await.unwrap();
        }
        assert_eq!(read(&store, MAX_AUDIT_ENTRIES).await.unwrap().len(), 1);
    }
}
