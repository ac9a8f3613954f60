//! The watch over the shards: keeps a subscriber for each, and follows the map of a Cluster.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info};

use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::self_check::SelfCheck;
use crate::layer::redis::subscriber::{Subscriber, SubscriberContext};
use crate::telemetry::Chain;
use crate::wire::group::Group;

/// Time between two readings of the map that nothing asked for.
const MAP_INTERVAL: Duration = Duration::from_secs(5);
/// Shortest time between two readings.
const MIN_MAP_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two looks for caches that are not used any more.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct ShardWatch {
    context: Arc<SubscriberContext>,
    scripts: Arc<Scripts>,
    /// How many replicas have to acknowledge a write.
    replicas: usize,
}

impl ShardWatch {
    pub(super) fn new(context: SubscriberContext, scripts: Arc<Scripts>, replicas: usize) -> Self {
        Self { context: Arc::new(context), scripts, replicas }
    }

    /// Watches. Returns when a task of a shard has ended, which only a panic does.
    pub(super) async fn run(self) {
        let shards = self.context.commands.shards();
        let mut tasks = JoinSet::new();
        let mut started = 0;
        let mut read_at = Instant::now();
        loop {
            for shard in shards.known().into_iter().skip(started) {
                let self_check = SelfCheck {
                    node: self.context.node.clone(),
                    shard: Arc::clone(&shard),
                    commands: Arc::clone(&self.context.commands),
                    scripts: Arc::clone(&self.scripts),
                    replicas: self.replicas,
                };
                tasks.spawn(self_check.run());
                tasks.spawn(Subscriber::new(Arc::clone(&self.context), shard).run());
                started += 1;
            }
            tokio::select! {
                _ = tasks.join_next() => return,
                () = sleep(SWEEP_INTERVAL) => self.context.follower.sweep(),
                () = self.until_map_is_due(read_at) => {
                    self.read_map().await;
                    read_at = Instant::now();
                }
            }
        }
    }

    /// Waits until the map of a Cluster has to be read again.
    async fn until_map_is_due(&self, read_at: Instant) {
        let shards = self.context.commands.shards();
        if !shards.is_cluster() {
            std::future::pending::<()>().await;
        }
        sleep_until(read_at + MIN_MAP_INTERVAL).await;
        tokio::select! {
            () = shards.doubted.notified() => {}
            () = sleep_until(read_at + MAP_INTERVAL) => {}
        }
    }

    async fn read_map(&self) {
        let context = &*self.context;
        match context.commands.shards().read_map().await {
            Ok(is_changed) => {
                let moved: HashSet<Group> = context.membership.on_map_read(is_changed).into_iter().collect();
                context.follower.on_disconnected(|group| moved.contains(group));
                if is_changed {
                    info!(groups = moved.len(), "the map of the cluster has changed");
                }
            }
            Err(error) => debug!(error = %Chain(&error), "the map of the cluster could not be read"),
        }
    }
}
