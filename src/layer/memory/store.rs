//! The store of a node that stands alone: records and indexes in this process.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Records and indexes of one process.
#[derive(Default)]
pub struct MemoryStore {
    records: Mutex<HashMap<String, Record>>,
    indexes: Mutex<HashMap<String, HashMap<String, u64>>>,
}

struct Record {
    value: String,
    ends: Option<Instant>,
}

impl Record {
    fn new(value: &str, ttl: Option<Duration>) -> Self {
        Self { value: value.to_owned(), ends: ttl.map(|ttl| Instant::now() + ttl) }
    }

    fn lives(&self) -> bool {
        self.ends.is_none_or(|ends| ends > Instant::now())
    }
}

impl MemoryStore {
    pub(in crate::layer) fn get(&self, key: &str) -> Option<String> {
        let records = self.records.lock();
        records.get(key).filter(|record| record.lives()).map(|record| record.value.clone())
    }

    pub(in crate::layer) fn put(&self, key: &str, value: &str, ttl: Option<Duration>) {
        put(&mut self.records.lock(), key, Record::new(value, ttl));
    }

    pub(in crate::layer) fn create(&self, key: &str, value: &str, ttl: Option<Duration>) -> bool {
        let mut records = self.records.lock();
        let free = !records.get(key).is_some_and(Record::lives);
        if free {
            put(&mut records, key, Record::new(value, ttl));
        }
        free
    }

    pub(in crate::layer) fn replace(&self, key: &str, old: &str, new: &str) -> bool {
        let mut records = self.records.lock();
        let record = records.get_mut(key).filter(|record| record.lives() && record.value == old);
        record.map(|record| new.clone_into(&mut record.value)).is_some()
    }

    pub(in crate::layer) fn take(&self, key: &str) -> Option<String> {
        let record = self.records.lock().remove(key)?;
        record.lives().then_some(record.value)
    }

    pub(in crate::layer) fn delete(&self, key: &str) -> bool {
        self.take(key).is_some()
    }

    pub(in crate::layer) fn refresh(&self, key: &str, ttl: Duration) -> Option<String> {
        let mut records = self.records.lock();
        let record = records.get_mut(key).filter(|record| record.lives())?;
        record.ends = Some(Instant::now() + ttl);
        Some(record.value.clone())
    }

    pub(in crate::layer) fn add(&self, index: &str, name: &str, rank: u64) -> bool {
        let mut indexes = self.indexes.lock();
        indexes.entry(index.to_owned()).or_default().insert(name.to_owned(), rank).is_none()
    }

    pub(in crate::layer) fn remove(&self, index: &str, name: &str) -> bool {
        let mut indexes = self.indexes.lock();
        let Some(names) = indexes.get_mut(index) else { return false };
        let removed = names.remove(name).is_some();
        if names.is_empty() {
            indexes.remove(index);
        }
        removed
    }

    pub(in crate::layer) fn rank(&self, index: &str, name: &str) -> Option<u64> {
        self.indexes.lock().get(index)?.get(name).copied()
    }

    pub(in crate::layer) fn top(&self, index: &str, limit: usize) -> Vec<(String, u64)> {
        let mut names = self.sorted(index);
        names.truncate(limit);
        names
    }

    pub(in crate::layer) fn count(&self, index: &str) -> usize {
        self.indexes.lock().get(index).map_or(0, HashMap::len)
    }

    pub(in crate::layer) fn trim(&self, index: &str, keep: usize) {
        for (name, _) in self.sorted(index).into_iter().skip(keep) {
            self.remove(index, &name);
        }
    }

    pub(in crate::layer) fn clear(&self, index: &str) {
        self.indexes.lock().remove(index);
    }

    /// As Redis sorts: by rank, and by name among equals, the highest first.
    fn sorted(&self, index: &str) -> Vec<(String, u64)> {
        let indexes = self.indexes.lock();
        let names = indexes.get(index).into_iter().flatten().map(|(name, rank)| (name.clone(), *rank));
        let mut names: Vec<(String, u64)> = names.collect();
        names.sort_unstable_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        names
    }
}

/// Records that have ended are swept out now and then, so that writing one costs the same however many there were.
fn put(records: &mut HashMap<String, Record>, key: &str, record: Record) {
    if records.len() == records.capacity() {
        records.retain(|_, record| record.lives());
    }
    records.insert(key.to_owned(), record);
}
