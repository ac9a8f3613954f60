//! A subscription's registration in the hub, the layer and the limits, undone on drop.

use std::sync::Arc;
use std::time::Instant;

use crate::http::context::Context;
use crate::layer::{Broker, LayerError};
use crate::limits::Admitted;
use crate::realtime::client::Client;
use crate::realtime::hub::SubscriberKey;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::subscribers::{Behind, Cursor};
use crate::realtime::subscription::Subscription;

/// The registration of one socket's subscription.
pub(crate) struct Registration {
    realtime: Arc<Realtime>,
    socket: Arc<Socket>,
    subscription: Arc<Subscription>,
    key: SubscriberKey,
    admitted: Admitted,
}

impl Registration {
    /// Registers the socket in the hub, subscribes the node to its group, and makes its user a
    /// member there. The socket receives its group's events at once or, if it resumes, from
    /// [`join`](Self::join) on.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn subscribe(
        realtime: Arc<Realtime>,
        socket: Arc<Socket>,
        subscription: Arc<Subscription>,
        admitted: Admitted,
    ) -> Result<Self, LayerError> {
        let key = realtime.hub().register(&socket, &subscription);
        // From here on, its drop undoes whatever has been done.
        let registration = Self { realtime, socket, subscription, key, admitted };
        let group = registration.subscription.group();
        registration.context().layer().subscribe(group, registration.member()).await?;
        // The interval may be on.
        if registration.socket.renderer().interval.is_some() {
            registration.realtime.intervals().poll(&registration.realtime, group);
        }
        Ok(registration)
    }

    /// Returns the services of the node.
    pub(crate) fn context(&self) -> &Arc<Context> {
        self.realtime.context()
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Returns the socket's place in the limits of its address.
    pub(crate) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Returns the socket's subscription.
    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Returns the client as its channel sees it.
    pub(crate) fn client(&self) -> Client<'_> {
        Client { context: self.context(), identity: self.socket.identity(), subscription: &self.subscription }
    }

    /// Returns the member of the group that the socket's user is, unless it only listens.
    pub(crate) fn member(&self) -> Option<&Arc<str>> {
        self.subscription.is_member().then(|| self.socket.identity().member())
    }

    /// See [`Hub::were_asked_since`](crate::realtime::hub::Hub::were_asked_since).
    pub(crate) fn were_asked_since(&self, received_at: Instant) -> bool {
        self.realtime.hub().were_asked_since(received_at)
    }

    /// See [`Hub::join`](crate::realtime::hub::Hub::join).
    pub(crate) fn join(&self, cursor: Cursor, is_forced: bool) -> Result<(), Behind> {
        self.realtime.hub().join(self.subscription.group(), &self.socket, self.key, cursor, is_forced)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let group = self.subscription.group();
        self.realtime.hub().unregister(group, &self.socket, self.key);
        self.context().layer().unsubscribe(group, self.member());
    }
}
