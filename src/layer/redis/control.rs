//! Control in Redis: a channel of all nodes, their beats, and a key for each interval.

use std::borrow::Cow;
use std::time::Duration;

use redis::Cmd;
use tracing::warn;

use crate::layer::contract::{INTERVAL_LINGER, STOPPED_INTERVAL_WINDOW};
use crate::layer::control::Control;
use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;
use crate::layer::instruction::Instruction;
use crate::layer::log::LogFigures;
use crate::layer::node_info::NodeInfo;
use crate::layer::redis::RedisLayer;
use crate::layer::redis::subscriber::NODE_MESSAGE;
use crate::telemetry::Chain;
use crate::wire::event::{Event, INTERVAL};
use crate::wire::group::Group;
use crate::wire::time::{millis, now};

impl Control for RedisLayer {
    async fn disconnect(&self, commands: &[Disconnect]) -> Result<(), LayerError> {
        self.decisions.writer().write(commands).await
    }

    async fn instruct(&self, instruction: &Instruction) -> Result<(), LayerError> {
        self.decisions.writer().write_instruction(instruction).await
    }

    async fn end_changes(&self, ids: &[&str]) -> Result<(), LayerError> {
        self.decisions.end_changes(ids).await
    }

    async fn send_to_node(&self, node: &str, message: &[u8]) -> Result<bool, LayerError> {
        if !NodeInfo::is_name(node) {
            return Ok(false);
        }
        let channel = self.commands.keys().node_channel(node);
        Ok(self.commands.publish(&channel, &[NODE_MESSAGE, message].concat()).await? > 0)
    }

    async fn in_line(&self) -> Result<(), LayerError> {
        self.decisions.in_line().await
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, LayerError> {
        let (names, facts) = self.beats_and_facts().await?;
        // The facts of another version may have another shape. That node is left out.
        let nodes = names.iter().filter_map(|name| serde_json::from_slice(facts.get(name)?).ok());
        let mut nodes: Vec<NodeInfo> = nodes.collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(nodes)
    }

    async fn log_length(&self, group: &Group) -> Result<usize, LayerError> {
        let mut length = Cmd::new();
        length.arg("XLEN").arg(self.commands.keys().log(group));
        self.commands.command(&length).await
    }

    async fn log_figures(&self, groups: &[Group]) -> Result<Vec<LogFigures>, LayerError> {
        let figures = self.follower.reader.figures(groups).await?;
        Ok(figures.iter().map(|(events, newest)| LogFigures::new(*events, newest, now())).collect())
    }

    async fn start_interval(&self, group: &Group, period: Duration) -> Result<(), LayerError> {
        let mut script = self.scripts.start_interval.key(self.commands.keys().interval(group));
        script
            .arg(millis(period))
            .arg(millis(INTERVAL_LINGER))
            .arg(self.commands.keys().own_channel(group))
            .arg(Event::new(INTERVAL).encode());
        self.commands.script(&script).await
    }

    async fn stop_interval(&self, group: &Group) -> Result<(), LayerError> {
        let mut set = Cmd::new();
        set.arg("SET").arg(self.commands.keys().interval(group)).arg("off");
        set.arg("PX").arg(millis(STOPPED_INTERVAL_WINDOW));
        self.commands.command(&set).await
    }

    async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
        follows: bool,
    ) -> Result<Option<Duration>, LayerError> {
        let mut script = self.scripts.tick.key(self.commands.keys().interval(group));
        script
            .arg(self.commands.keys().channel(group))
            .arg(event.encode())
            .arg(millis(period))
            .arg(millis(INTERVAL_LINGER));
        script.arg(if follows { "1" } else { "" });
        let next: Option<u64> = self.commands.script(&script).await?;
        Ok(next.map(Duration::from_millis))
    }

    fn ready(&self) -> Result<Cow<'static, str>, LayerError> {
        self.check_usable()?;
        let away: Vec<_> = self
            .shards_away()
            .iter()
            .map(|(shard, error)| format!("shard {shard} is away: {error}"))
            .collect();
        Ok(if away.is_empty() { "redis".into() } else { format!("redis; {}", away.join("; ")).into() })
    }

    async fn close(&self) {
        self.tasks.lock().await.shutdown().await;
        if let Err(error) = self.heartbeat.end().await {
            warn!(error = %Chain(&error), "could not say that this node ends; others find it dead");
        }
    }
}
