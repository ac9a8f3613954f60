//! Moving on: a node that Redis does not reach has its clients connect to another node.
//!
//! Their sockets would stay open and silent, however long it lasts. Clients that cannot resume
//! stay: they would lose more by the move than by waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::realtime::drain;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::wire::close::{Close, CloseCode};

/// The time over which the sockets are closed.
const MOVE_ON_SPREAD: Duration = Duration::from_secs(4);

impl Realtime {
    /// Closes the sockets of clients that can resume once no message of this node has come back
    /// from Redis for `--move-on-seconds`. Never returns.
    ///
    /// New sockets are rejected meanwhile, so that no client returns to this node.
    pub(crate) async fn move_clients_on(&self) {
        let limit = self.context().config().move_on_seconds;
        let contact = || self.context().layer().contact().filter(|_| limit > 0);
        let Some(mut last) = contact() else { return std::future::pending().await };
        let close = Close::new(CloseCode::ServiceRestart, "this node cannot reach Redis: connect again");
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Ticks, not the clock: a process that was frozen has missed nothing yet.
        let mut silent_ticks = 0;
        loop {
            second.tick().await;
            let now = contact().unwrap_or(last);
            silent_ticks = if now == last { silent_ticks + 1 } else { 0 };
            last = now;
            if silent_ticks < limit {
                continue;
            }
            let mut sockets: Vec<Arc<Socket>> = self.hub().sockets();
            sockets.retain(|socket| socket.wire().bye(Duration::ZERO).is_some());
            if !sockets.is_empty() {
                let (seconds, count) = (last.elapsed().as_secs(), sockets.len());
                warn!(seconds, sockets = count, "redis does not reach this node: moving clients on");
                drain::run(sockets, MOVE_ON_SPREAD, &close).await;
            }
        }
    }
}
