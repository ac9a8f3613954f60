//! A socket's place: its seat in the hub and its membership in the layer, given back on drop.

use std::sync::Arc;

use crate::error::Unavailable;
use crate::group::Group;
use crate::hub::Seat;
use crate::id::Id;
use crate::node::Node;
use crate::session::Session;
use crate::socket::Socket;

/// Where a socket sits; it ends when this is dropped.
pub(crate) struct Place {
    node: Arc<Node>,
    seat: Seat,
    membership: Option<(Group, Arc<str>)>,
    /// Its consumer has a ticker, which may be on.
    ticks: bool,
}

impl Place {
    /// Takes a place for this socket: it gets its group's events from now on, or from when it joins.
    pub(crate) fn take(node: &Arc<Node>, socket: &Arc<Socket>, session: &Session) -> Self {
        let group = session.group();
        let seat = node.hub().enter(socket, group, session.start().is_some());
        let membership = group.map(|group| (group.clone(), Arc::clone(session.user())));
        if let Some((group, user)) = &membership {
            node.layer().enter(group, user);
        }
        Self { node: Arc::clone(node), seat, membership, ticks: socket.kind().ticker.is_some() }
    }

    /// Returns when the node hears the socket's group.
    pub(crate) async fn heard(&self) -> Result<(), Unavailable> {
        let Some((group, _)) = &self.membership else { return Ok(()) };
        self.node.layer().heard(group).await?;
        if self.ticks {
            self.node.tickers().look(&self.node, group);
        }
        Ok(())
    }

    /// See [`Hub::join`](crate::hub::Hub::join).
    pub(crate) fn join(&self, cursor: Id, anyhow: bool) -> Result<(), Id> {
        self.node.hub().join(&self.seat, cursor, anyhow)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.node.hub().leave(&self.seat);
        if let Some((group, user)) = &self.membership {
            self.node.layer().leave(group, user);
        }
    }
}
