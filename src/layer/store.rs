//! The store: records and indexes that all nodes share, beside the groups and their logs.
//!
//! A *record* is a text under a key, perhaps for a time. An *index* is a set of names, each with a rank (a number,
//! mostly a time), in the order of their ranks. Each call is atomic; what takes several is made safe by
//! [`create`](Store::create), [`replace`](Store::replace) and [`take`](Store::take), which one of many callers wins.
//!
//! | key in Redis | what |
//! |---|---|
//! | `parlor:record:<key>` | a record, a string |
//! | `parlor:index:<index>` | an index, a sorted set |

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::layer::error::LayerError;
use crate::layer::memory::store::MemoryStore;
use crate::layer::redis::store::RedisStore;

/// One of the two implementations.
pub enum Store {
    /// In this process, and gone with it.
    Memory(MemoryStore),
    /// In Redis.
    Redis(RedisStore),
}

/// Calls the implementation.
macro_rules! either {
    ($store:expr, $call:ident($($argument:expr),*)) => {
        match $store {
            Store::Memory(records) => Ok(records.$call($($argument),*)),
            Store::Redis(records) => records.$call($($argument),*).await,
        }
    };
}

/// Every call fails with [`LayerError`] when Redis does not answer.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Store {
    /// The record under this key.
    pub async fn get(&self, key: &str) -> Result<Option<String>, LayerError> {
        either!(self, get(key))
    }

    /// Writes a record over whatever was there; it lasts for so long, or for ever.
    pub async fn put(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<(), LayerError> {
        either!(self, put(key, value, ttl))
    }

    /// Writes a record unless there is one; whether it was written.
    pub async fn create(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<bool, LayerError> {
        either!(self, create(key, value, ttl))
    }

    /// Writes a record if it is still what the caller has read; it lasts as long as before. Whether it was written.
    pub async fn replace(&self, key: &str, old: &str, new: &str) -> Result<bool, LayerError> {
        either!(self, replace(key, old, new))
    }

    /// Reads a record and removes it: of many callers one gets it.
    pub async fn take(&self, key: &str) -> Result<Option<String>, LayerError> {
        either!(self, take(key))
    }

    /// Removes a record; whether there was one.
    pub async fn delete(&self, key: &str) -> Result<bool, LayerError> {
        either!(self, delete(key))
    }

    /// The record under this key, which lasts for so long from now on.
    pub async fn refresh(&self, key: &str, ttl: Duration) -> Result<Option<String>, LayerError> {
        either!(self, refresh(key, ttl))
    }

    /// Puts a name into an index, or gives it another rank; whether it is new there.
    pub async fn add(&self, index: &str, name: &str, rank: u64) -> Result<bool, LayerError> {
        either!(self, add(index, name, rank))
    }

    /// Takes a name out of an index; whether it was there.
    pub async fn remove(&self, index: &str, name: &str) -> Result<bool, LayerError> {
        either!(self, remove(index, name))
    }

    /// A name's rank, if it is in the index.
    pub async fn rank(&self, index: &str, name: &str) -> Result<Option<u64>, LayerError> {
        either!(self, rank(index, name))
    }

    /// The names of the highest ranks, the highest first.
    pub async fn top(&self, index: &str, limit: usize) -> Result<Vec<(String, u64)>, LayerError> {
        either!(self, top(index, limit))
    }

    /// How many names an index has.
    pub async fn count(&self, index: &str) -> Result<usize, LayerError> {
        either!(self, count(index))
    }

    /// Keeps the names of the highest ranks only, so many of them.
    pub async fn trim(&self, index: &str, keep: usize) -> Result<(), LayerError> {
        either!(self, trim(index, keep))
    }

    /// Removes a whole index.
    pub async fn clear(&self, index: &str) -> Result<(), LayerError> {
        either!(self, clear(index))
    }

    /// The record under this key, from JSON.
    pub async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LayerError> {
        self.get(key).await?.map(|text| parse(key, &text)).transpose()
    }

    /// Writes a record as JSON.
    pub async fn write<T: Serialize + Sync>(
        &self,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Result<(), LayerError> {
        self.put(key, &json(value), ttl).await
    }

    /// Changes a record of JSON, if it is there; the new one. Whoever changes it at the same time has changed it before
    /// or after.
    pub async fn change<T: Serialize + DeserializeOwned + Send + Sync>(
        &self,
        key: &str,
        change: impl Fn(&mut T) + Send + Sync,
    ) -> Result<Option<T>, LayerError> {
        loop {
            let Some(old) = self.get(key).await? else { return Ok(None) };
            let mut value: T = parse(key, &old)?;
            change(&mut value);
            let new = json(&value);
            if new == old || self.replace(key, &old, &new).await? {
                return Ok(Some(value));
            }
        }
    }
}

/// Parses a record. The error names its key and the place of the mistake, and contains nothing of the record.
fn parse<T: DeserializeOwned>(key: &str, json: &str) -> Result<T, LayerError> {
    serde_json::from_str(json).map_err(|error| {
        let what = match error.classify() {
            Category::Eof => "JSON that is cut short",
            Category::Data => "JSON of another shape",
            Category::Io | Category::Syntax => "not JSON",
        };
        LayerError::corrupt_record(key, format!("{what}, line {} column {}", error.line(), error.column()))
    })
}

/// A value of ours as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records have text keys")
}
