//! The store of a single node: records and indexes in this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::layer::error::LayerError;
use crate::layer::memory::group::{Groups, MemoryGroup};
use crate::layer::step::{Change, Guard};
use crate::layer::store::{Index, Store};
use crate::wire::group::Group;

/// Records and indexes of one process.
#[derive(Default)]
pub struct MemoryStore {
    records: Mutex<HashMap<String, Record>>,
    indexes: Mutex<Indexes>,
    groups: Arc<Groups>,
}

/// Names with their ranks, by index.
type Indexes = HashMap<String, HashMap<String, u64>>;

struct Record {
    value: String,
    expires_at: Option<Instant>,
}

impl Record {
    fn new(value: &str, ttl: Option<Duration>) -> Self {
        Self { value: value.to_owned(), expires_at: ttl.map(|ttl| Instant::now() + ttl) }
    }

    fn is_alive(&self) -> bool {
        self.expires_at.is_none_or(|time| time > Instant::now())
    }
}

impl MemoryStore {
    /// Creates an empty store beside these groups.
    pub(super) fn new(groups: Arc<Groups>) -> Self {
        Self { groups, ..Self::default() }
    }

    /// Counts something of a group; 0 if it does not exist.
    fn count_in(&self, group: &Group, count: fn(&MemoryGroup) -> usize) -> usize {
        self.groups.lock().get(group).map_or(0, |group| count(&group.lock()))
    }
}

impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<String>, LayerError> {
        let records = self.records.lock();
        Ok(records.get(key).filter(|record| record.is_alive()).map(|record| record.value.clone()))
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<String>>, LayerError> {
        try_join_all(keys.iter().map(|key| self.get(key))).await
    }

    async fn put(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<(), LayerError> {
        insert(&mut self.records.lock(), key, Record::new(value, ttl));
        Ok(())
    }

    async fn create(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<bool, LayerError> {
        let mut records = self.records.lock();
        let is_free = !records.get(key).is_some_and(Record::is_alive);
        if is_free {
            insert(&mut records, key, Record::new(value, ttl));
        }
        Ok(is_free)
    }

    async fn take(&self, key: &str) -> Result<Option<String>, LayerError> {
        let record = self.records.lock().remove(key);
        Ok(record.filter(Record::is_alive).map(|record| record.value))
    }

    async fn delete(&self, key: &str) -> Result<bool, LayerError> {
        Ok(self.take(key).await?.is_some())
    }

    async fn step(&self, guards: &[Guard<'_>], changes: &[Change<'_>]) -> Result<Option<usize>, LayerError> {
        let (mut records, mut indexes) = (self.records.lock(), self.indexes.lock());
        let rank_of = |index: &str, name: &str| indexes.get(index).and_then(|names| names.get(name)).copied();
        let holds = |guard: &Guard<'_>| match *guard {
            Guard::Announced { .. } => true, // a change is made at once
            Guard::Record { key, value } => {
                let record = records.get(key).filter(|record| record.is_alive());
                record.map(|record| record.value.as_str()) == value
            }
            Guard::NoMembers { group } => self.count_in(group, MemoryGroup::user_count) == 0,
            Guard::NoEvents { group } => self.count_in(group, MemoryGroup::event_count) == 0,
            Guard::RankAbove { index, name, rank } => rank_of(index, name).is_some_and(|has| has > rank),
            Guard::Fits { index, name, limit } => {
                rank_of(index, name).is_some() || indexes.get(index).map_or(0, HashMap::len) < limit
            }
        };
        if let Some(failed) = guards.iter().position(|guard| !holds(guard)) {
            return Ok(Some(failed));
        }
        for change in changes {
            match *change {
                Change::Put { key, value } => {
                    let before = records.get(key).filter(|record| record.is_alive());
                    let expires_at = before.and_then(|record| record.expires_at);
                    insert(&mut records, key, Record { value: value.to_owned(), expires_at });
                }
                Change::Delete { key } => drop(records.remove(key)),
                Change::Add { index, name, rank } => {
                    indexes.entry(index.to_owned()).or_default().entry(name.to_owned()).or_insert(rank);
                }
                Change::Remove { index, name } => {
                    remove(&mut indexes, index, name);
                }
                Change::RemoveRanked { index, name, rank } => {
                    if indexes.get(index).and_then(|names| names.get(name)) == Some(&rank) {
                        remove(&mut indexes, index, name);
                    }
                }
                Change::Trim { index, keep } => {
                    for (name, _) in sorted(&indexes, index).into_iter().skip(keep) {
                        remove(&mut indexes, index, &name);
                    }
                }
                Change::Clear { index } => drop(indexes.remove(index)),
            }
        }
        Ok(None)
    }

    async fn refresh(&self, key: &str, ttl: Duration) -> Result<Option<String>, LayerError> {
        let mut records = self.records.lock();
        let Some(record) = records.get_mut(key).filter(|record| record.is_alive()) else { return Ok(None) };
        record.expires_at = Some(Instant::now() + ttl);
        Ok(Some(record.value.clone()))
    }
}

impl Index for MemoryStore {
    async fn add(&self, index: &str, name: &str, rank: u64) -> Result<bool, LayerError> {
        let mut indexes = self.indexes.lock();
        Ok(indexes.entry(index.to_owned()).or_default().insert(name.to_owned(), rank).is_none())
    }

    async fn remove(&self, index: &str, name: &str) -> Result<bool, LayerError> {
        Ok(remove(&mut self.indexes.lock(), index, name))
    }

    async fn rank(&self, index: &str, name: &str) -> Result<Option<u64>, LayerError> {
        Ok(self.indexes.lock().get(index).and_then(|names| names.get(name)).copied())
    }

    async fn ranks(&self, indexes: &[String], name: &str) -> Result<Vec<Option<u64>>, LayerError> {
        try_join_all(indexes.iter().map(|index| self.rank(index, name))).await
    }

    async fn top(&self, index: &str, limit: usize) -> Result<Vec<(String, u64)>, LayerError> {
        let mut names = sorted(&self.indexes.lock(), index);
        names.truncate(limit);
        Ok(names)
    }

    async fn tops(&self, indexes: &[String], limit: usize) -> Result<Vec<Vec<(String, u64)>>, LayerError> {
        try_join_all(indexes.iter().map(|index| self.top(index, limit))).await
    }

    async fn count(&self, index: &str) -> Result<usize, LayerError> {
        Ok(self.indexes.lock().get(index).map_or(0, HashMap::len))
    }

    async fn counts(&self, indexes: &[String]) -> Result<Vec<usize>, LayerError> {
        try_join_all(indexes.iter().map(|index| self.count(index))).await
    }

    async fn trim(&self, index: &str, keep: usize) -> Result<(), LayerError> {
        self.step(&[], &[Change::Trim { index, keep }]).await.map(|_| ())
    }

    async fn clear(&self, index: &str) -> Result<(), LayerError> {
        self.indexes.lock().remove(index);
        Ok(())
    }
}

/// Returns the names of an index in Redis' order: by rank, then by name, the highest first.
fn sorted(indexes: &Indexes, index: &str) -> Vec<(String, u64)> {
    let names = indexes.get(index).into_iter().flatten().map(|(name, rank)| (name.clone(), *rank));
    let mut names: Vec<(String, u64)> = names.collect();
    names.sort_unstable_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
    names
}

/// Removes a name from an index; returns whether it was there.
fn remove(indexes: &mut Indexes, index: &str, name: &str) -> bool {
    let Some(names) = indexes.get_mut(index) else { return false };
    let removed = names.remove(name).is_some();
    if names.is_empty() {
        indexes.remove(index);
    }
    removed
}

/// Inserts a record. Those that have ended are removed whenever the map would grow.
fn insert(records: &mut HashMap<String, Record>, key: &str, record: Record) {
    if records.len() == records.capacity() {
        records.retain(|_, record| record.is_alive());
    }
    records.insert(key.to_owned(), record);
}
