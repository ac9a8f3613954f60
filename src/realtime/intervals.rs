//! Intervals: groups that receive a periodic event, published by one node at a time.
//!
//! The layer knows which intervals are on and lets one node publish each tick. This node polls it
//! for every group with sockets here, in one task per group, which ends when the interval is off or
//! the last socket has left.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{debug, error};

use crate::http::context::Context;
use crate::layer::{Control, LayerError};
use crate::realtime::channel::Channel;
use crate::realtime::runtime::Realtime;
use crate::telemetry::Chain;
use crate::wire::group::Group;

/// The time between attempts while the layer does not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The groups that this node polls; `true` if it polls once more before it stops.
#[derive(Default)]
pub(crate) struct Intervals {
    polled: Mutex<HashMap<Group, bool>>,
}

impl Intervals {
    /// Starts polling for the group, whose interval may be on, if the group has sockets here.
    pub(crate) fn poll(&self, realtime: &Arc<Realtime>, group: &Group) {
        if realtime.hub().interval(group).is_none() {
            return;
        }
        let known = self.polled.lock().insert(group.clone(), true);
        if known.is_none() {
            let (realtime, group) = (Arc::clone(realtime), group.clone());
            tokio::spawn(async move { realtime.intervals().run(&realtime, &group).await });
        }
    }

    /// Polls for the group until its interval is off or its last socket has left.
    async fn run(&self, realtime: &Realtime, group: &Group) {
        let mut follows = false;
        loop {
            self.polled.lock().insert(group.clone(), false);
            let next = match realtime.hub().interval(group) {
                None => None,
                Some(interval) => {
                    let Ok(event) = catch_unwind(|| (interval.event)(group)) else {
                        error!(%group, "stopped an interval whose channel panicked");
                        self.polled.lock().remove(group);
                        return;
                    };
                    match realtime.context().layer().tick(group, &event, interval.period, follows).await {
                        Ok(next) => {
                            follows = next.is_some();
                            next
                        }
                        Err(error) => {
                            debug!(error = %Chain(&error), "could not tick");
                            Some(RETRY_PAUSE)
                        }
                    }
                }
            };
            if let Some(next) = next {
                sleep(next).await;
                continue;
            }
            let mut polled = self.polled.lock();
            if polled.get(group) != Some(&true) {
                polled.remove(group);
                return;
            }
        }
    }
}

/// Starts the interval of this channel for a group. It ends a minute after the group's last socket
/// has left.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not accept it.
pub async fn start_interval<C: Channel>(context: &Context, group: &Group) -> Result<(), LayerError> {
    match C::INTERVAL {
        Some(interval) => context.layer().start_interval(group, interval.period).await,
        None => Ok(()),
    }
}

/// Stops a group's interval.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not accept it.
pub async fn stop_interval(context: &Context, group: &Group) -> Result<(), LayerError> {
    context.layer().stop_interval(group).await
}
