//! Intervals in Redis: a key that says when the next tick is due, which is also the lock for it.

use std::time::Duration;

use redis::Cmd;

use super::RedisLayer;
use super::keys::{TICKERS, channel};
use crate::layer::error::LayerError;
use crate::layer::intervals::LINGER;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::time::millis;

impl RedisLayer {
    pub(in crate::layer) async fn start_ticker(
        &self,
        group: &Group,
        period: Duration,
    ) -> Result<(), LayerError> {
        let mut script = self.start_ticker.key(ticker_key(group));
        script.arg(group.name()).arg(millis(period)).arg(millis(LINGER)).arg(TICKERS);
        self.commands.script(&script).await
    }

    pub(in crate::layer) async fn stop_ticker(&self, group: &Group) -> Result<(), LayerError> {
        self.commands.command(Cmd::new().arg("DEL").arg(ticker_key(group))).await
    }

    pub(in crate::layer) async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
    ) -> Result<Option<Duration>, LayerError> {
        let mut script = self.tick.key(ticker_key(group));
        script.arg(channel(group)).arg(event.encode()).arg(millis(period)).arg(millis(LINGER));
        let next: Option<u64> = self.commands.script(&script).await?;
        Ok(next.map(Duration::from_millis))
    }
}

fn ticker_key(group: &Group) -> String {
    format!("parlor:ticker:{group}")
}
