//! What a command of the command line does in Redis, without being a node.

use std::sync::Arc;

use crate::config::redis_url::RedisUrl;
use crate::layer::connect_error::ConnectError;
use crate::layer::disconnect::Disconnect;
use crate::layer::disconnect_sender::DisconnectSender;
use crate::layer::error::LayerError;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::decisions::DecisionWriter;
use crate::layer::redis::find_shards;
use crate::layer::redis::keys::Keys;
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::shards::Shards;
use crate::layer::redis::store::RedisStore;
use crate::layer::shared_store::SharedStore;

/// The store and the control channel of the nodes on one Redis.
pub(crate) struct AdminClient {
    decisions: DecisionWriter,
    store: SharedStore,
}

impl AdminClient {
    /// Connects to the Redis at this URL, for the nodes with this prefix.
    ///
    /// # Errors
    /// Returns [`ConnectError`] when Redis cannot be reached.
    pub(crate) async fn open(url: &RedisUrl, prefix: &str, replicas: usize) -> Result<Self, ConnectError> {
        let address = url.address().map_err(ConnectError::InvalidUrl)?;
        let keys = Keys::new(prefix, address.database(), None, address.is_cluster());
        let scripts = Arc::new(Scripts::new(address.is_cluster()));
        let shards = Arc::new(Shards::new(address));
        if let Err(fault) = find_shards(&shards).await {
            let address = shards.address().text();
            return Err(ConnectError::UnreachableByCommand { address, cause: fault.cause });
        }
        let commands = Arc::new(Commands::new(shards, keys));
        let store = RedisStore::new(Arc::clone(&commands), Arc::clone(&scripts), replicas, Arc::default());
        let store = SharedStore::Redis(store);
        let decisions = DecisionWriter { commands, scripts, replicas };
        Ok(Self { decisions, store })
    }

    /// Returns the store that the nodes share.
    pub(crate) fn store(&self) -> &SharedStore {
        &self.store
    }
}

impl DisconnectSender for AdminClient {
    async fn send(&self, commands: &[Disconnect]) -> Result<(), LayerError> {
        self.decisions.write(commands).await
    }

    fn store(&self) -> &SharedStore {
        &self.store
    }

    async fn end_changes(&self, ids: &[&str]) -> Result<(), LayerError> {
        self.decisions.end_changes(ids).await
    }
}
