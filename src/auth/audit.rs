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
pub(crate) async fn read(store: &SharedStore, limit: usize) -> Result<Vec<AuditEntry>, LayerError> {
    let entries = store.top(AUDIT, limit).await?;
    Ok(entries.iter().filter_map(|(entry, _)| serde_json::from_str(entry).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::memory::store::MemoryStore;

    #[tokio::test]
    async fn the_same_thing_done_at_once_stands_there_each_time_and_the_oldest_go() {
        let store = SharedStore::Memory(MemoryStore::default());
        for _ in 0..100 {
            write(&store, "ann", "ban", "bob").await.unwrap();
        }
        let entries = read(&store, MAX_AUDIT_ENTRIES).await.unwrap();
        assert_eq!(entries.len(), 100);
        assert!(entries.is_sorted_by(|a, b| a.at > b.at), "{entries:?}");
        for at in 0..2 * u64::try_from(MAX_AUDIT_ENTRIES).unwrap() {
            store.add(AUDIT, &at.to_string(), at).await.unwrap();
        }
        write(&store, "ann", "unban", "bob").await.unwrap();
        assert_eq!(store.count(AUDIT).await.unwrap(), MAX_AUDIT_ENTRIES);
        assert_eq!(
            read(&store, MAX_AUDIT_ENTRIES).await.unwrap().len(),
            101,
            "what is older than they were has gone"
        );
    }
}
