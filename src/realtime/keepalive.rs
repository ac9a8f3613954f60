//! Keepalive: pings and silence limits of all sockets, checked once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tracing::debug;

use crate::layer::Control;
use crate::realtime::disconnects::Announced;
use crate::realtime::registered::Registered;
use crate::realtime::revalidation;
use crate::realtime::revalidation::Pace;
use crate::realtime::runtime::Realtime;
use crate::realtime::tick::Tick;
use crate::telemetry::Chain;

/// The time in which a message must be complete, in seconds: the longest one at 1.5 KB/s.
const MAX_MESSAGE_SECONDS: u32 = 180;
/// The same while all sockets of the node together hold more than [`MAX_HELD_BYTES`].
const SHORT_MESSAGE_SECONDS: u32 = 10;
/// The most bytes of incomplete messages that clients may take their time for.
const MAX_HELD_BYTES: u64 = 32 * 1024 * 1024;
/// The time between two comparisons of the key of guests' cookies with that of all nodes.
const KEY_COMPARE_SECONDS: u32 = 2;

impl Realtime {
    /// Runs [`Socket::keepalive`] for every socket each second, and [`revalidation::run`] for
    /// sockets whose client is due. Never returns.
    pub(crate) async fn keepalive(self: &Arc<Self>) {
        let is_revalidating = Arc::new(AtomicBool::new(false));
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.context().seconds();
        let mut held = 0;
        loop {
            second.tick().await;
            let now = self.context().seconds();
            let due = self.hub().take_due_announcements(Instant::now());
            if !due.is_empty() {
                tokio::spawn(Arc::clone(self).end_announced(due));
            }
            if now.is_multiple_of(KEY_COMPARE_SECONDS) {
                let context = Arc::clone(self.context());
                tokio::spawn(async move { context.compare_key().await });
            }
            // After the process was frozen, the time since the last read says nothing about the
            // peer.
            let is_frozen = now - last > 3;
            let max_message_seconds =
                if held > MAX_HELD_BYTES { SHORT_MESSAGE_SECONDS } else { MAX_MESSAGE_SECONDS };
            let tick = Tick { now, last, is_frozen, max_message_seconds };
            last = now;
            let is_due;
            (is_due, held) = self.check_sockets(tick).await;
            if is_due && !is_revalidating.swap(true, Ordering::SeqCst) {
                let (realtime, is_revalidating) = (Arc::clone(self), Arc::clone(&is_revalidating));
                self.context().track(async move {
                    let due = realtime.hub().take_due(|socket| socket.is_due(now));
                    if let Err(error) = revalidation::run(&realtime, due, Pace::Slow).await {
                        // The next second tries again.
                        debug!(error = %Chain(&error), "could not ask whether sockets may stay");
                    }
                    is_revalidating.store(false, Ordering::SeqCst);
                });
            }
        }
    }

    /// Ends announced changes, so that none is made from now on, and then has their sockets asked
    /// again. While the layer does not answer, the next second tries again.
    async fn end_announced(self: Arc<Self>, due: Vec<Announced>) {
        let ids = due.iter().filter_map(|(_, announcement)| announcement.announces.as_deref());
        match self.context().layer().end_changes(&ids.collect::<Vec<_>>()).await {
            Ok(()) => self.hub().ask_announced(&due).await,
            Err(error) => {
                debug!(error = %Chain(&error), "could not end announced changes");
                self.hub().put_back_announcements(due);
            }
        }
    }

    /// Checks all sockets. Returns whether a client is due for revalidation, and the bytes that are
    /// held of incomplete messages.
    async fn check_sockets(&self, tick: Tick) -> (bool, u64) {
        let (due, held) = (AtomicBool::new(false), AtomicU64::new(0));
        let check = |Registered { socket, .. }: &Registered| {
            held.fetch_add(socket.keepalive(tick).into(), Ordering::Relaxed);
            if socket.is_due(tick.now) {
                due.store(true, Ordering::Relaxed);
            }
        };
        self.hub().each_socket(check).await;
        (due.into_inner(), held.into_inner())
    }
}
