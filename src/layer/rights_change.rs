//! A change of rights that is being made: writes of records that rights rest on.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layer::error::LayerError;
use crate::layer::shared_store::{self, SharedStore};
use crate::layer::step::{Change, Guard};
use crate::layer::store::Store;

/// Writes records that rights rest on. Code that ends a right is given one by
/// [`Context::change_rights`](crate::Context::change_rights).
///
/// Its writes are made while the change is announced, and never later: a write that reaches Redis
/// after a node has begun to ask the sockets in question fails. One that ends no right, as of
/// [`SharedStore::change`], is not announced, and its writes are made at any time.
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

    /// Returns one that is not announced.
    #[cfg(test)]
    pub(crate) fn for_test(store: &'a SharedStore) -> Self {
        Self::new(store, None)
    }

    /// Returns the store, to read records and to write those that no right rests on.
    pub fn store(&self) -> &'a SharedStore {
        self.store
    }

    /// Makes all changes in one [step](Store::step); `None` if a condition does not hold.
    ///
    /// # Errors
    /// As [`Store::step`], and [`LayerError::TimedOut`] when the change is not announced any more.
    pub async fn write(
        &self,
        guards: &[Guard<'_>],
        changes: &[Change<'_>],
    ) -> Result<Option<()>, LayerError> {
        let announced = self.id.as_deref().map(|change| Guard::Announced { change });
        let guards = [announced.as_slice(), guards].concat();
        match self.store.step(&guards, changes).await? {
            None => Ok(Some(())),
            Some(0) if announced.is_some() => Err(LayerError::TimedOut("make a change of rights")),
            Some(_) => Ok(None),
        }
    }

    /// Changes a record of JSON, with further changes in the same step, and returns the new value;
    /// `None` if there is no record. Concurrent changes are made one after another: `change` may be
    /// called several times.
    ///
    /// # Errors
    /// As [`write`](Self::write) and [`SharedStore::read`].
    pub async fn change<T: Serialize + DeserializeOwned + Send + Sync>(
        &self,
        key: &str,
        change: impl Fn(&mut T) + Send + Sync,
        further: &[Change<'_>],
    ) -> Result<Option<T>, LayerError> {
        loop {
            let Some(old) = self.store.get(key).await? else { return Ok(None) };
            let mut value: T = shared_store::parse(key, &old)?;
            change(&mut value);
            let new = shared_store::json(&value);
            let is_same = Guard::Record { key, value: Some(&old) };
            let changes = [&[Change::Put { key, value: &new }], further].concat();
            if new == old && further.is_empty() || self.write(&[is_same], &changes).await?.is_some() {
                return Ok(Some(value));
            }
        }
    }
}
