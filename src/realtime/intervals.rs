//! Intervals: groups that get an event of their own every few seconds, from one node at a time.
//!
//! The layer knows which tickers are on and lets one node publish each tick. This node asks it for
//! every group that has sockets here, in one task per group, which ends when the ticker is off or the
//! last socket has left.

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

/// How long to wait before asking a layer again that did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// The groups for which this node asks; `true` if it shall ask once more before it stops.
#[derive(Default)]
pub(crate) struct Intervals {
    asked: Mutex<HashMap<Group, bool>>,
}

impl Intervals {
    /// The group's ticker may be on: asks for it from now on, if the group has sockets here.
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
                            Some(PAUSE)
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

/// Turns the interval of this consumer on for a group. It ends a minute after the group's last
/// socket left.
///
/// # Errors
/// [`LayerError`] when the layer did not take it.
pub async fn start_interval<C: Consumer>(context: &Context, group: &Group) -> Result<(), LayerError> {
    match C::INTERVAL {
        Some(ticker) => context.layer().start_interval(group, ticker.period).await,
        None => Ok(()),
    }
}
