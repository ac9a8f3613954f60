//! Tickers: what a group gets again and again while its ticker is on, from one node each time.

use std::time::Duration;

use super::Layer;
use crate::wire::error::Unavailable;
use crate::wire::event::Event;
use crate::wire::group::Group;

/// For how long a ticker goes on when no node asks for it: a minute.
pub(super) const LINGER: Duration = Duration::from_mins(1);

impl Layer {
    /// Turns the group's ticker on: its first tick is due one period from now. If it is on already,
    /// nothing changes.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn start_ticker(&self, group: &Group, period: Duration) -> Result<(), Unavailable> {
        match self {
            Self::Memory(layer) => {
                layer.start_ticker(group, period);
                Ok(())
            }
            Self::Redis(layer) => layer.start_ticker(group, period).await,
        }
    }

    /// Turns the group's ticker off.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn stop_ticker(&self, group: &Group) -> Result<(), Unavailable> {
        match self {
            Self::Memory(layer) => {
                layer.stop_ticker(group);
                Ok(())
            }
            Self::Redis(layer) => layer.stop_ticker(group).await,
        }
    }

    /// Publishes this event if the group's tick is due and no other node was faster. Returns the
    /// time until the next tick, or `None` if the ticker is off. Asking keeps the ticker on.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
    ) -> Result<Option<Duration>, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.tick(group, event, period)),
            Self::Redis(layer) => layer.tick(group, event, period).await,
        }
    }
}
