//! The pulse: every socket is looked after once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::identity::review;
use crate::node::Node;

impl Node {
    /// Looks after every socket once a second, for ever: see [`Socket::pulse`].
    pub(crate) async fn pulse(self: &Arc<Self>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.seconds();
        loop {
            second.tick().await;
            let now = self.seconds();
            // After the process was frozen, nobody was silent: nobody was heard.
            let frozen = now - last > 3;
            last = now;
            let due = AtomicBool::new(false);
            self.hub
                .each_socket(|socket| {
                    socket.pulse(now, frozen);
                    due.fetch_or(socket.is_due(now), Ordering::Relaxed);
                })
                .await;
            if due.into_inner() && !self.reviewing.swap(true, Ordering::SeqCst) {
                let node = Arc::clone(self);
                self.track(async move {
                    let mut due = node.hub.sockets();
                    due.retain(|socket| socket.is_due(now));
                    review::run(&node, due).await;
                    node.reviewing.store(false, Ordering::SeqCst);
                });
            }
        }
    }
}
