//! The commands that a Redis receives, by MONITOR.

use redis::aio::{Monitor, MultiplexedConnection};

use futures_util::StreamExt;

use super::wait::{PATIENCE, within};

pub struct RedisMonitor {
    monitor: Monitor,
    /// Sends the command that marks the end.
    connection: MultiplexedConnection,
}

impl RedisMonitor {
    pub async fn start(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a Redis address");
        let monitor = client.get_async_monitor().await.expect("a watching connection");
        let connection = client.get_multiplexed_async_connection().await.expect("a connection");
        Self { monitor, connection }
    }

    /// The commands since the last call, also those of scripts: time, client and quoted arguments.
    pub async fn commands(&mut self) -> Vec<String> {
        const END: &str = "the end of the watch";
        let _: String = redis::cmd("ECHO").arg(END).query_async(&mut self.connection).await.expect("ECHO");
        let mut commands = self.monitor.on_message::<String>();
        within(PATIENCE, END, async {
            let mut seen = Vec::new();
            while let Some(command) = commands.next().await {
                if command.contains(END) {
                    return seen;
                }
                seen.push(command);
            }
            panic!("MONITOR ended after {seen:?}")
        })
        .await
    }
}
