//! The registration of a socket or of one of its subscriptions, undone on drop.

use std::sync::Arc;
use std::time::Instant;

use once_cell::race::OnceBox;

use crate::http::context::Context;
use crate::layer::{Broker, LayerError};
use crate::realtime::client::Client;
use crate::realtime::hub::Registered;
use crate::realtime::listed_connection::ListedConnection;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::subscribers::{Behind, Cursor};
use crate::realtime::subscription::Subscription;
use crate::wire::close::Close;

/// The registration of a subscription in the hub and in the layer.
pub(crate) struct Registration {
    realtime: Arc<Realtime>,
    socket: Arc<Socket>,
    subscription: Arc<Subscription>,
    /// Its key in the hub.
    key: usize,
    /// Its connection in the list of the group, where there is one.
    listed: OnceBox<ListedConnection>,
}

impl Registration {
    /// Registers the subscription, whose request arrived at `opened_at`, in the hub, subscribes the
    /// node to its group, and makes the socket's user a member there. The socket receives the
    /// group's events at once or, if it resumes, from [`join`](Self::join) on.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn subscribe(
        realtime: Arc<Realtime>,
        socket: Arc<Socket>,
        subscription: Arc<Subscription>,
        opened_at: Instant,
    ) -> Result<Self, LayerError> {
        let key = realtime.hub().register(&socket, &subscription, opened_at);
        // From here on, its drop undoes whatever has been done.
        let registration = Self { realtime, socket, subscription, key, listed: OnceBox::new() };
        let group = registration.subscription.group();
        registration.context().layer().subscribe(group, registration.member()).await?;
        // The interval may be on.
        if registration.subscription.entrance().renderer().interval.is_some() {
            registration.realtime.intervals().poll(&registration.realtime, group);
        }
        Ok(registration)
    }

    /// Adds the connection, of this id, to the list of the group, if there is one. Called once the
    /// client has been welcomed.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn list(&self, client: impl Fn() -> String) -> Result<(), LayerError> {
        if self.subscription.lists_connections() && self.listed.get().is_none() {
            let feed = self.subscription.connections_feed();
            let listed = ListedConnection::enter(self, &client(), feed).await?;
            let _ = self.listed.set(Box::new(listed)); // one task at a time calls this
        }
        Ok(())
    }

    pub(crate) fn realtime(&self) -> &Arc<Realtime> {
        &self.realtime
    }

    /// Returns the services of the node.
    pub(crate) fn context(&self) -> &Arc<Context> {
        self.realtime.context()
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Returns the subscription.
    pub(crate) fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// Returns the client as its channel sees it.
    pub(crate) fn client(&self) -> Client<'_> {
        Client {
            context: self.context(),
            identity: self.socket.identity(),
            group: self.subscription.group(),
            ephemerals: self.subscription.ephemerals(),
            kept: self.subscription.kept(),
            lists_connections: self.subscription.lists_connections(),
        }
    }

    /// Returns the member of the group that the socket's user is, unless it only listens.
    pub(crate) fn member(&self) -> Option<&Arc<str>> {
        self.subscription.is_member().then(|| self.socket.identity().member())
    }

    /// Ends the subscription; see [`Hub::end`](crate::realtime::hub::Hub::end).
    pub(crate) fn end(&self, close: &Close) {
        let subscription = Some(Arc::clone(&self.subscription));
        self.realtime.hub().end(&Registered { socket: Arc::clone(&self.socket), subscription }, close);
    }

    /// Delivers nothing any more.
    pub(crate) fn silence(&self) {
        self.realtime.hub().silence(&self.subscription);
    }

    /// Returns whether nothing is delivered any more, after a gap that ended the subscription.
    pub(crate) fn is_silent(&self) -> bool {
        self.realtime.hub().is_silent(&self.subscription)
    }

    /// See [`Hub::join`](crate::realtime::hub::Hub::join).
    pub(crate) fn join(&self, cursor: Cursor, is_forced: bool) -> Result<(), Behind> {
        self.realtime.hub().join(&self.subscription, cursor, is_forced)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.realtime.hub().unregister(self.key);
        self.context().layer().unsubscribe(self.subscription.group(), self.member());
    }
}

/// The registration of a socket without a subscription of its own.
pub(crate) struct SocketRegistration {
    pub(crate) realtime: Arc<Realtime>,
    pub(crate) socket: Arc<Socket>,
    /// Its key in the hub.
    key: usize,
}

impl SocketRegistration {
    /// Registers the socket, whose request arrived at `opened_at`.
    pub(crate) fn register(realtime: Arc<Realtime>, socket: Arc<Socket>, opened_at: Instant) -> Self {
        let key = realtime.hub().register_socket(&socket, opened_at);
        Self { realtime, socket, key }
    }
}

impl Drop for SocketRegistration {
    fn drop(&mut self) {
        self.realtime.hub().unregister(self.key);
    }
}
