//! The store of a node: one of the two implementations, and records as JSON on top of it.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::layer::error::LayerError;
use crate::layer::memory::store::MemoryStore;
use crate::layer::redis::store::RedisStore;
use crate::layer::rights_change::RightsChange;
use crate::layer::step::{Change, Guard};
use crate::layer::store::{Index, Store};

/// One of the two implementations of [`Store`] and [`Index`].
pub enum SharedStore {
    /// In this process; it ends with it.
    Memory(MemoryStore),
    /// In Redis.
    Redis(RedisStore),
}

/// Calls the method of the implementation.
macro_rules! dispatch {
    ($store:expr, $call:ident($($argument:expr),*)) => {
        match $store {
            SharedStore::Memory(store) => store.$call($($argument),*).await,
            SharedStore::Redis(store) => store.$call($($argument),*).await,
        }
    };
}

impl Store for SharedStore {
    async fn get(&self, key: &str) -> Result<Option<String>, LayerError> {
        dispatch!(self, get(key))
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<String>>, LayerError> {
        dispatch!(self, get_all(keys))
    }

    async fn put(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<(), LayerError> {
        dispatch!(self, put(key, value, ttl))
    }

    async fn create(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<bool, LayerError> {
        dispatch!(self, create(key, value, ttl))
    }

    async fn take(&self, key: &str) -> Result<Option<String>, LayerError> {
        dispatch!(self, take(key))
    }

    async fn delete(&self, key: &str) -> Result<bool, LayerError> {
        dispatch!(self, delete(key))
    }

    async fn step(&self, guards: &[Guard<'_>], changes: &[Change<'_>]) -> Result<Option<usize>, LayerError> {
        dispatch!(self, step(guards, changes))
    }

    async fn refresh(&self, key: &str, ttl: Duration) -> Result<Option<String>, LayerError> {
        dispatch!(self, refresh(key, ttl))
    }
}

impl Index for SharedStore {
    async fn add(&self, index: &str, name: &str, rank: u64) -> Result<bool, LayerError> {
        dispatch!(self, add(index, name, rank))
    }

    async fn remove(&self, index: &str, name: &str) -> Result<bool, LayerError> {
        dispatch!(self, remove(index, name))
    }

    async fn rank(&self, index: &str, name: &str) -> Result<Option<u64>, LayerError> {
        dispatch!(self, rank(index, name))
    }

    async fn ranks(&self, indexes: &[String], name: &str) -> Result<Vec<Option<u64>>, LayerError> {
        dispatch!(self, ranks(indexes, name))
    }

    async fn top(&self, index: &str, limit: usize) -> Result<Vec<(String, u64)>, LayerError> {
        dispatch!(self, top(index, limit))
    }

    async fn tops(&self, indexes: &[String], limit: usize) -> Result<Vec<Vec<(String, u64)>>, LayerError> {
        dispatch!(self, tops(indexes, limit))
    }

    async fn count(&self, index: &str) -> Result<usize, LayerError> {
        dispatch!(self, count(index))
    }

    async fn counts(&self, indexes: &[String]) -> Result<Vec<usize>, LayerError> {
        dispatch!(self, counts(indexes))
    }

    async fn trim(&self, index: &str, keep: usize) -> Result<(), LayerError> {
        dispatch!(self, trim(index, keep))
    }

    async fn clear(&self, index: &str) -> Result<(), LayerError> {
        dispatch!(self, clear(index))
    }
}

impl SharedStore {
    /// Returns the record under this key, parsed from JSON.
    ///
    /// # Errors
    /// As [`Store::get`], and [`LayerError::CorruptRecord`] when the record is not JSON of this
    /// type.
    pub async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LayerError> {
        self.get(key).await?.map(|text| parse(key, &text)).transpose()
    }

    /// Returns the record under this key, parsed from JSON, and its text, by which a
    /// [`Guard::Record`] finds out whether it has changed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_for_step<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, String)>, LayerError> {
        let Some(text) = self.get(key).await? else { return Ok(None) };
        Ok(Some((parse(key, &text)?, text)))
    }

    /// Returns several records, parsed from JSON, in the order of the keys.
    ///
    /// # Errors
    /// As [`Store::get_all`], and as [`read`](Self::read) for one of them.
    pub async fn read_all<T: DeserializeOwned>(&self, keys: &[String]) -> Result<Vec<Option<T>>, LayerError> {
        let texts = self.get_all(keys).await?;
        let parsed = keys.iter().zip(texts).map(|(key, text)| text.map(|text| parse(key, &text)).transpose());
        parsed.collect()
    }

    /// Returns the record that decides who may join a group, parsed from JSON. That there is none
    /// is remembered for a second, so that many joins ask for it once.
    ///
    /// A disconnect command to the node ends that, and closes the sockets which it matches: a
    /// caller that writes such a record sends one about the group after it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_for_join<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LayerError> {
        let text = match self {
            Self::Memory(store) => store.get(key).await?,
            Self::Redis(store) => store.get_for_join(key).await?,
        };
        text.map(|text| parse(key, &text)).transpose()
    }

    /// Forgets which records were absent: what [`read_for_join`](Self::read_for_join) returns from
    /// now on was read after this call.
    pub(crate) fn forget_absences(&self) {
        if let Self::Redis(store) = self {
            store.forget_absences();
        }
    }

    /// Returns the record under this key, parsed from its text.
    ///
    /// # Errors
    /// As [`Store::get`], and [`LayerError::CorruptRecord`] when the text is not of this type.
    pub async fn read_text<T: FromStr>(&self, key: &str) -> Result<Option<T>, LayerError> {
        let Some(text) = self.get(key).await? else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(LayerError::corrupt_record(key, "a text of another form")),
        }
    }

    /// Removes the record under this key and returns it, parsed from JSON; of many callers one gets
    /// it.
    ///
    /// # Errors
    /// As [`read`](Self::read). A corrupt record is removed, too.
    pub(crate) async fn read_once<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LayerError> {
        self.take(key).await?.map(|text| parse(key, &text)).transpose()
    }

    /// Returns the record under this key, parsed from JSON, and sets its lifetime.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) async fn read_and_refresh<T: DeserializeOwned>(
        &self,
        key: &str,
        ttl: Duration,
    ) -> Result<Option<T>, LayerError> {
        self.refresh(key, ttl).await?.map(|text| parse(key, &text)).transpose()
    }

    /// Writes a record as JSON.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn write<T: Serialize + Sync>(
        &self,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Result<(), LayerError> {
        self.put(key, &json(value), ttl).await
    }

    /// Removes names from an index, all at once. Nothing is sent for none.
    ///
    /// # Errors
    /// As [`Store::step`].
    pub async fn remove_all(&self, index: &str, names: &[String]) -> Result<(), LayerError> {
        if names.is_empty() {
            return Ok(());
        }
        let removals: Vec<Change<'_>> = names.iter().map(|name| Change::Remove { index, name }).collect();
        self.step(&[], &removals).await.map(|_| ())
    }

    /// Changes a record of JSON and returns the new value; `None` if there is no record. Concurrent
    /// changes are made one after another: `change` may be called several times.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn change<T: Serialize + DeserializeOwned + Send + Sync>(
        &self,
        key: &str,
        change: impl Fn(&mut T) + Send + Sync,
    ) -> Result<Option<T>, LayerError> {
        RightsChange::new(self, None).change(key, change, &[]).await
    }
}

/// Parses a record of JSON, or a name in an index. The error names the key and the place of the
/// mistake, and contains nothing of the record.
pub(crate) fn parse<T: DeserializeOwned>(key: &str, json: &str) -> Result<T, LayerError> {
    serde_json::from_str(json).map_err(|error| {
        let what = match error.classify() {
            Category::Eof => "JSON that is cut short",
            Category::Data => "JSON of another shape",
            Category::Io | Category::Syntax => "not JSON",
        };
        LayerError::corrupt_record(key, format!("{what}, line {} column {}", error.line(), error.column()))
    })
}

/// Returns a value as the JSON of its record.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records have text keys")
}
