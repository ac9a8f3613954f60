//! A desk: what a command does in Redis beside the nodes, without being one of them.

use std::sync::Arc;

use super::address::RedisAddress;

use super::commands::{Commands, reason};
use super::keys::ORDERS;
use crate::layer::error::LayerError;
use crate::layer::redis::store::RedisStore;
use crate::layer::{Disconnect, Store};
use crate::wire::error::StartError;

/// Records, indexes and orders of the nodes on one Redis.
pub(crate) struct AdminClient {
    commands: Arc<Commands>,
    store: Store,
}

impl AdminClient {
    /// The desk at this URL.
    ///
    /// # Errors
    /// [`StartError`] when Redis cannot be reached.
    pub(crate) async fn open(url: &str) -> Result<Self, StartError> {
        let no_url = |error| StartError::new("`REDIS_URL` (--redis-url) is no Redis URL").because(error);
        let commands = Arc::new(Commands::new(RedisAddress::parse(url).map_err(no_url)?));
        if let Err(error) = commands.ping().await {
            let at = commands.address().text();
            return Err(StartError::new(format!("could not connect to Redis at {at}: {}", reason(&error))));
        }
        Ok(Self { store: Store::Redis(RedisStore::new(Arc::clone(&commands))), commands })
    }

    /// What the nodes share.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Gives an order to every node.
    pub(crate) async fn order(&self, given: &Disconnect) -> Result<(), LayerError> {
        order(&self.commands, given).await
    }
}

/// Gives an order to every node.
pub(super) async fn order(commands: &Commands, order: &Disconnect) -> Result<(), LayerError> {
    let json = serde_json::to_vec(order).expect("texts and a number become JSON");
    commands.publish(ORDERS, &json).await
}
