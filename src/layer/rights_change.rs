//! A change of rights that is being made: writes of records that rights rest on.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layer::error::LayerError;
use crate::layer::shared_store::{self, SharedStore};
use crate::layer::step::{Change, Guard};
use crate::layer::store::Store;

/// Writes records that rights rest on. Code that ends a right needs one, which only
/// [`Context::change_rights`](crate::Context::change_rights) creates.
///
/// Its writes are made while the change is announced, and never later: a write that reaches Redis
/// after a node has begun to ask the sockets in question fails.
#[derive(Clone)]
pub struct RightsChange<'a> {
    store: &'a SharedStore,
    /// The id under which it is announced; `None` if it ends no right.
    id: Option<Arc<str>>,
}

impl<'a> RightsChange<'a> {
    pub(super) fn new(store: &'a SharedStore, id: Option<Arc<str>>) -> Self {
        Self { store, id }
    }

    /// Returns the store, to read records and to write those that no right rests on.
    pub fn store(&self) -> &'a SharedStore {
        self.store
    }

    /// As [`Store::step`].
    ///
    /// # Errors
    /// As [`Store::step`], and [`LayerError::TimedOut`] when the change is not announced any more.
    pub async fn step(
        &self,
        guards: &[Guard<'_>],
        changes: &[Change<'_>],
    ) -> Result<Option<usize>, LayerError> {
        let Some(id) = &self.id else { return self.store.step(guards, changes).await };
        let guards = [&[Guard::Announced { change: id }], guards].concat();
        match self.store.step(&guards, changes).await? {
            Some(0) => Err(LayerError::TimedOut("make a change of rights")),
            failed => Ok(failed.map(|guard| guard - 1)),
        }
    }

    /// Changes a record of JSON and returns the new value; `None` if there is no record. Concurrent
    /// changes are made one after another: `change` may be called several times.
    ///
    /// # Errors
    /// As [`step`](Self::step) and [`SharedStore::read`].
    pub async fn change<T: Serialize + DeserializeOwned + Send + Sync>(
        &self,
        key: &str,
        change: impl Fn(&mut T) + Send + Sync,
    ) -> Result<Option<T>, LayerError> {
        loop {
            let Some(old) = self.store.get(key).await? else { return Ok(None) };
            let mut value: T = shared_store::parse(key, &old)?;
            change(&mut value);
            let new = shared_store::json(&value);
            let is_same = Guard::Record { key, value: Some(&old) };
            if new == old || self.step(&[is_same], &[Change::Put { key, value: &new }]).await?.is_none() {
                return Ok(Some(value));
            }
        }
    }
}
