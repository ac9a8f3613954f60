//! The audit log: what operators did, each with who, what, about whom or what, and when.
//!
//! | record | what |
//! |---|---|
//! | index `audit` | entries as JSON, by when it was; the newest [`MAX_AUDIT_ENTRIES`] |

use serde::{Deserialize, Serialize};

use crate::layer::LayerError;
use crate::layer::{Index, SharedStore, shared_store};
use crate::wire::time::now;

/// How many entries are kept.
pub const MAX_AUDIT_ENTRIES: usize = 10_000;
const AUDIT: &str = "audit";

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The name of whoever did it.
    pub who: String,
    /// What it was, by a word of the application's or of a command's.
    pub what: String,
    /// About whom or what.
    pub about: String,
}

/// Writes an entry. It is written before the thing is done: of what was tried in vain there is one, too, but of nothing
/// that was done there is none.
pub(crate) async fn write(store: &SharedStore, who: &str, what: &str, about: &str) -> Result<(), LayerError> {
    let [who, what, about] = [who, what, about].map(str::to_owned);
    let mut entry = AuditEntry { at: now(), who, what, about };
    // An index has each name once: the same thing done twice in a millisecond was done in two.
    while !store.add(AUDIT, &shared_store::json(&entry), entry.at).await? {
        entry.at += 1;
    }
    store.trim(AUDIT, MAX_AUDIT_ENTRIES).await
}

/// The newest entries, the newest first.
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
