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
use crate::realtime::consumer::Consumer;
use crate::realtime::runtime::Realtime;
use crate::telemetry::Chain;
use crate::wire::group::Group;

/// The time between attempts while the layer does not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The groups that this node polls; `true` if it polls once more before it stops.
#[derive(Default)]
pub(crate) struct Intervals {
    asked: Mutex<HashMap<Group, bool>>,
}

impl Intervals {
    /// Starts polling for the group, whose interval may be on, if the group has sockets here.
    pub(crate) fn look(&self, realtime: &Arc<Realtime>, group: &Group) {
        if realtime.hub().ticker(group).is_none() {
            return;
        }
        let known = self.asked.lock().insert(group.clone(), true);
        if known.is_none() {
            let (realtime, group) = (Arc::clone(realtime), group.clone());
            tokio::spawn(async move { realtime.tickers().ask(&realtime, &group).await });
        }
    }

    async fn ask(&self, realtime: &Realtime, group: &Group) {
        loop {
            self.asked.lock().insert(group.clone(), false);
            let next = match realtime.hub().ticker(group) {
                None => None,
                Some(ticker) => {
                    let Ok(event) = catch_unwind(|| (ticker.event)(group)) else {
                        error!(%group, "stopped a ticker whose consumer panicked");
                        self.asked.lock().remove(group);
                        return;
                    };
                    realtime.context().layer().tick(group, &event, ticker.period).await.unwrap_or_else(
                        |error| {
                            debug!(error = %Chain(&error), "could not tick");
                            Some(RETRY_PAUSE)
                        },
                    )
                }
            };
            if let Some(next) = next {
                sleep(next).await;
                continue;
            }
            let mut asked = self.asked.lock();
            if asked.get(group) != Some(&true) {
                asked.remove(group);
                return;
            }
        }
    }
}

/// Starts the interval of this consumer for a group. It ends a minute after the group's last socket
/// has left.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not accept it.
pub async fn start_interval<C: Consumer>(context: &Context, group: &Group) -> Result<(), LayerError> {
    match C::INTERVAL {
        Some(ticker) => context.layer().start_interval(group, ticker.period).await,
        None => Ok(()),
    }
}
