//! Keepalive: pings and silence limits of all sockets, checked once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::debug;

use crate::realtime::revalidation;
use crate::realtime::revalidation::Pace;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::telemetry::Chain;

impl Realtime {
    /// Runs [`Socket::keepalive`] for every socket each second, and [`revalidation::run`] for
    /// sockets whose client is due. Never returns.
    pub(crate) async fn keepalive(self: &Arc<Self>) {
        let is_revalidating = Arc::new(AtomicBool::new(false));
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.context().seconds();
        loop {
            second.tick().await;
            let now = self.context().seconds();
            // After the process was frozen, the time since the last read says nothing about the
            // peer.
            let frozen = now - last > 3;
            let previous = std::mem::replace(&mut last, now);
            if self.check_sockets(now, previous, frozen).await
                && !is_revalidating.swap(true, Ordering::SeqCst)
            {
                let (realtime, is_revalidating) = (Arc::clone(self), Arc::clone(&is_revalidating));
                self.context().track(async move {
                    let mut due = realtime.hub().registered();
                    due.retain(|registered| registered.socket.is_due(now));
                    if let Err(error) = revalidation::run(realtime.context(), due, Pace::Slow).await {
                        // The next second tries again.
                        debug!(error = %Chain(&error), "could not ask whether sockets may stay");
                    }
                    is_revalidating.store(false, Ordering::SeqCst);
                });
            }
        }
    }

    /// Checks all sockets. Returns whether a client is due for revalidation.
    async fn check_sockets(&self, now: u32, last: u32, frozen: bool) -> bool {
        let due = AtomicBool::new(false);
        let check = |socket: &Socket| {
            socket.keepalive(now, last, frozen);
            if socket.is_due(now) {
                due.store(true, Ordering::Relaxed);
            }
        };
        self.hub().each_socket(check).await;
        due.into_inner()
    }
}
