//! The check of a node's connections: one write, one script, and what Redis says of itself.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use tokio::time::{Instant, sleep};

use crate::layer::error::LayerError;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::diagnosis;
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::shards::Shard;
use crate::telemetry::Chain;
use crate::wire::time::millis;

/// Time between two checks of a node that is not ready.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Lifetime of the key that a check writes, if the script does not remove it.
const KEY_LIFETIME: Duration = Duration::from_secs(10);

/// Checks the node's use of a shard whenever its [`Health`](super::health::Health) is in doubt:
/// after each subscription, and while Redis refuses something.
pub(super) struct SelfCheck {
    pub(super) node: String,
    pub(super) shard: Arc<Shard>,
    pub(super) commands: Arc<Commands>,
    pub(super) scripts: Arc<Scripts>,
}

impl SelfCheck {
    /// Checks whenever there is doubt. Never returns.
    pub(super) async fn run(self) {
        let health = self.shard.health();
        loop {
            if !health.is_doubted() {
                health.doubted.notified().await;
                continue;
            }
            let begun = Instant::now();
            match self.check().await {
                Ok(()) => health.on_passed(begun),
                Err(cause) => health.on_failed(&cause),
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    async fn check(&self) -> Result<(), String> {
        diagnosis::ask(self.shard.place()).await.map_err(|fault| fault.cause)?;
        self.write().await.map_err(|error| Chain(&error).to_string())
    }

    /// Writes a key, and runs a script that makes a log of it and removes it.
    async fn write(&self) -> Result<(), LayerError> {
        let tag = self.commands.shards().tag_of(self.shard.id);
        let key = self.commands.keys().check(&self.node, &tag);
        let mut set = Cmd::new();
        set.arg("SET").arg(&key).arg(1).arg("PX").arg(millis(KEY_LIFETIME));
        self.commands.command::<()>(&set).await?;
        let _: u64 = self.commands.script(&self.scripts.check.key(key)).await?;
        Ok(())
    }
}
