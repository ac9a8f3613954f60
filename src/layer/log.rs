//! What a group's log is to those who use it, on either layer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Layer;
use crate::wire::error::Unavailable;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// What a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// So many events, at least.
    pub messages: usize,
    /// For so long.
    pub age: Duration,
    /// How many replicas must have an event before [`Layer::append`] returns; Redis only.
    pub replicas: usize,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    New(Id),
    /// It was there already: nothing was added.
    Known(Id),
    /// The key belongs to another event.
    Conflict,
}

/// Some of a log, the oldest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Events that follow one another.
    pub events: Vec<Arc<Event>>,
    /// There is more in the direction that was asked for.
    pub more: bool,
    /// The id of the log's newest event, or [`Id::START`].
    pub last: Id,
}

/// Under what an event is appended at most once.
#[derive(Clone, Debug)]
pub struct Key {
    pub(super) name: String,
    /// Tells two events under one name apart.
    pub(super) digest: String,
}

impl Key {
    /// A name for this event, within its group.
    pub fn new(name: String, event: &Event) -> Self {
        let digest = Sha256::digest(event.encode());
        let digest = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        Self { name, digest: format!("{digest:016x}") }
    }
}

impl Layer {
    /// Writes an event to the group's log and publishes it. With a key, once.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it.
    pub async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&Key>,
    ) -> Result<Appended, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.append(group, event, key)),
            Self::Redis(layer) => layer.append(group, event, key).await,
        }
    }

    /// The oldest logged events after this id: up to 200 of them.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn after(&self, group: &Group, id: Id) -> Result<Page, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.after(group, id)),
            Self::Redis(layer) => layer.after(group, id).await,
        }
    }

    /// The newest logged events, or the newest before this id: up to `limit` of them.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn before(&self, group: &Group, id: Option<Id>, limit: usize) -> Result<Page, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.before(group, id, limit)),
            Self::Redis(layer) => layer.before(group, id, limit).await,
        }
    }

    /// Takes the text of a logged event out of what is read, for good; `false` if the log does not have it. See the
    /// [contract](super).
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it; it may be covered all the same, and to ask again is safe.
    pub async fn cover(&self, group: &Group, id: Id) -> Result<bool, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.cover(group, id)),
            Self::Redis(layer) => layer.cover(group, id).await,
        }
    }

    /// The covered events of a group that has members here.
    pub fn covered(&self, group: &Group) -> BTreeSet<Id> {
        match self {
            Self::Memory(layer) => layer.covered(group),
            Self::Redis(layer) => layer.covered(group),
        }
    }

    /// How many events the group's log holds.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn log_size(&self, group: &Group) -> Result<usize, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.log_size(group)),
            Self::Redis(layer) => layer.log_size(group).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_all_versions_know_an_event_by_the_same_digest() {
        // The first bytes of `printf '\x81\xa4type\xa1a' | sha256sum`.
        assert_eq!(Key::new("mine".to_owned(), &Event::new("a")).digest, "1b2350e020ac04ff");
    }
}
