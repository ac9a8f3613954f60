//! A socket's place: whose it is, its seat in the hub, its membership in the layer and what it counts for in the limits,
//! given back on drop.

use std::sync::Arc;

use crate::limits::Admitted;
use crate::realtime::hub::Seat;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Session;
use crate::wire::error::Unavailable;
use crate::wire::id::Id;

/// Where a socket sits; it ends when this is dropped.
pub(crate) struct Place {
    realtime: Arc<Realtime>,
    session: Session,
    seat: Seat,
    _admitted: Admitted,
    /// Its consumer has a ticker, which may be on.
    ticks: bool,
}

impl Place {
    /// Takes a place for this socket: it gets its group's events from now on, or from when it joins.
    pub(crate) fn take(
        realtime: Arc<Realtime>,
        socket: &Arc<Socket>,
        session: Session,
        admitted: Admitted,
    ) -> Self {
        let (node, group) = (session.node(), session.group());
        let seat = realtime.hub().enter(socket, group, session.start().is_some(), session.born());
        if let Some(group) = group {
            node.layer().enter(group, session.identity().member());
        }
        Self { realtime, session, seat, _admitted: admitted, ticks: socket.kind().ticker.is_some() }
    }

    /// The facts about the socket.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Returns when the node hears the socket's group.
    pub(crate) async fn heard(&self) -> Result<(), Unavailable> {
        let (node, Some(group)) = (self.session.node(), self.session.group()) else { return Ok(()) };
        node.layer().heard(group).await?;
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

impl Drop for Place {
    fn drop(&mut self) {
        let node = self.session.node();
        self.realtime.hub().leave(&self.seat);
        if let Some(group) = self.session.group() {
            node.layer().leave(group, self.session.identity().member());
        }
    }
}
