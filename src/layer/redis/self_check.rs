//! The check of a node's connections: a write, each script, and what Redis says of itself.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use tokio::time::{Instant, sleep};

use crate::layer::error::LayerError;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::diagnosis;
use crate::layer::redis::script_checks;
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::shards::Shard;
use crate::telemetry::Chain;

/// Time between two checks of a node that is not ready.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Checks the node's use of a shard whenever its [`Health`](super::health::Health) is in doubt:
/// after each subscription, and while Redis refuses something.
pub(super) struct SelfCheck {
    pub(super) node: String,
    pub(super) shard: Arc<Shard>,
    pub(super) commands: Arc<Commands>,
    pub(super) scripts: Arc<Scripts>,
    /// How many replicas have to acknowledge a write.
    pub(super) replicas: usize,
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

    /// Writes a log, runs each script on keys of this node, and removes them.
    async fn write(&self) -> Result<(), LayerError> {
        let tag = self.commands.shards().tag_of(self.shard.id);
        let prefix = self.commands.keys().check(&self.node, &tag);
        let keys = script_checks::keys(&prefix);
        let mut remove = Cmd::new();
        remove.arg("DEL").arg(&keys);
        // A check that failed may have left them.
        self.commands.command::<()>(&remove).await?;
        let written = self.run_scripts(&prefix, &keys[0]).await;
        let _: Result<(), LayerError> = self.commands.command(&remove).await;
        written
    }

    async fn run_scripts(&self, prefix: &str, log: &str) -> Result<(), LayerError> {
        let (mut add, mut wait) = (Cmd::new(), Cmd::new());
        add.arg("XADD").arg(log).arg(script_checks::FIRST_ID).arg("e").arg("");
        self.commands.command::<()>(&add).await?;
        for call in script_checks::calls(&self.scripts, prefix) {
            self.commands.script::<redis::Value>(&call).await?;
        }
        if self.replicas > 0 {
            wait.arg("WAIT").arg(0).arg(0);
            self.shard.connections.command::<()>(&wait).await?;
        }
        Ok(())
    }
}
