//! A socket's registration in the hub, the layer and the limits, undone on drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::layer::{Broker, LayerError};
use crate::limits::Admitted;
use crate::realtime::hub::SubscriberKey;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Subscription;
use crate::wire::id::Id;

/// The registration of one socket.
pub(crate) struct Registration {
    realtime: Arc<Realtime>,
    session: Subscription,
    seat: SubscriberKey,
    _admitted: Admitted,
    /// Its consumer has an interval, which may be on.
    ticks: bool,
    /// Whether the socket is a member of the group in the layer.
    is_member: AtomicBool,
}

impl Registration {
    /// Registers the socket in the hub. It receives its group's events at once or, if it resumes,
    /// from [`join`](Self::join) on.
    pub(crate) fn take(
        realtime: Arc<Realtime>,
        socket: &Arc<Socket>,
        session: Subscription,
        admitted: Admitted,
    ) -> Self {
        let group = session.group();
        let seat = realtime.hub().enter(socket, group, session.start().is_some(), session.opened_at());
        let ticks = socket.kind().ticker.is_some();
        Self { realtime, session, seat, _admitted: admitted, ticks, is_member: AtomicBool::new(false) }
    }

    /// Returns the socket's subscription.
    pub(crate) fn session(&self) -> &Subscription {
        &self.session
    }

    /// Subscribes the node to the socket's group, and makes its user a member there.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn subscribe(&self) -> Result<(), LayerError> {
        let (node, Some(group)) = (self.session.context(), self.session.group()) else { return Ok(()) };
        self.is_member.store(true, Ordering::Relaxed);
        node.layer().subscribe(group, self.session.identity().member()).await?;
        if self.ticks {
            self.realtime.tickers().look(&self.realtime, group);
        }
        Ok(())
    }

    /// See [`Hub::join`](crate::realtime::hub::Hub::join).
    pub(crate) fn join(&self, cursor: Id, anyhow: bool) -> Result<(), Id> {
        self.realtime.hub().join(&self.seat, cursor, anyhow)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let node = self.session.context();
        self.realtime.hub().leave(&self.seat);
        if *self.is_member.get_mut()
            && let Some(group) = self.session.group()
        {
            node.layer().unsubscribe(group, self.session.identity().member());
        }
    }
}
