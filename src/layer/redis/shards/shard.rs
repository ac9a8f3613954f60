//! One part of Redis, and what this node has for it.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::config::redis_address::RedisAddress;
use crate::layer::redis::clock::RedisClock;
use crate::layer::redis::command_queue::CommandQueue;
use crate::layer::redis::connections::Connections;
use crate::layer::redis::health::Health;
use crate::layer::redis::shards::place::Place;

/// The number of a shard on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::layer::redis) struct ShardId(pub(super) u16);

impl ShardId {
    /// Returns the position of the shard among all that this node has known.
    pub(in crate::layer::redis) fn index(self) -> usize {
        self.0.into()
    }
}

/// A single Redis as a whole, or a shard of a Cluster.
pub(in crate::layer::redis) struct Shard {
    pub(in crate::layer::redis) id: ShardId,
    /// What waits for the pipeline.
    pub(in crate::layer::redis) queue: CommandQueue,
    /// A group of the shard may have to be subscribed to or unsubscribed from.
    pub(in crate::layer::redis) channels_changed: Notify,
    /// The clock of its server.
    pub(in crate::layer::redis) clock: RedisClock,
    /// Connections for commands that do not use the pipeline.
    pub(in crate::layer::redis) connections: Arc<Connections>,
    /// Whether the node is subscribed to every group of its members there but the newest.
    pub(in crate::layer::redis) is_subscribed: watch::Sender<bool>,
    /// Whether it has slots: a shard that all were moved from has nothing.
    has_slots: watch::Sender<bool>,
}

impl Shard {
    pub(super) fn new(id: ShardId, address: Arc<RedisAddress>) -> Self {
        Self {
            id,
            queue: CommandQueue::default(),
            channels_changed: Notify::new(),
            clock: RedisClock::new(),
            connections: Arc::new(Connections::new(Place::new(address))),
            is_subscribed: watch::Sender::new(false),
            has_slots: watch::Sender::new(true),
        }
    }

    /// Returns where its server is.
    pub(in crate::layer::redis) fn place(&self) -> &Place {
        self.connections.place()
    }

    /// Returns what is known of its server.
    pub(in crate::layer::redis) fn health(&self) -> &Health {
        self.connections.health()
    }

    /// Returns whether it has slots.
    pub(in crate::layer::redis) fn has_slots(&self) -> bool {
        *self.has_slots.borrow()
    }

    pub(super) fn set_slots(&self, has_slots: bool) {
        self.has_slots.send_if_modified(|had| std::mem::replace(had, has_slots) != has_slots);
    }

    /// Waits until it has slots, or until it has none.
    pub(in crate::layer::redis) async fn until_slots(&self, has_slots: bool) {
        // The sender is this shard's own.
        let _ = self.has_slots.subscribe().wait_for(|has| *has == has_slots).await;
    }
}
