//! A subscription's registration in the hub, the layer and the limits, undone on drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::context::Context;
use crate::layer::{Broker, LayerError};
use crate::limits::Admitted;
use crate::realtime::client::Client;
use crate::realtime::hub::SubscriberKey;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Subscription;
use crate::wire::id::Id;

/// The registration of one socket's subscription.
pub(crate) struct Registration {
    realtime: Arc<Realtime>,
    socket: Arc<Socket>,
    subscription: Subscription,
    key: SubscriberKey,
    _admitted: Admitted,
    /// Whether the socket is a member of the group in the layer.
    is_member: AtomicBool,
}

impl Registration {
    /// Registers the socket in the hub. It receives its group's events at once or, if it resumes,
    /// from [`join`](Self::join) on.
    pub(crate) fn new(
        realtime: Arc<Realtime>,
        socket: Arc<Socket>,
        subscription: Subscription,
        admitted: Admitted,
    ) -> Self {
        let key = realtime.hub().register(&socket, &subscription);
        let is_member = AtomicBool::new(false);
        Self { realtime, socket, subscription, key, _admitted: admitted, is_member }
    }

    /// Returns the services of the node.
    pub(crate) fn context(&self) -> &Arc<Context> {
        self.realtime.context()
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Returns the socket's subscription.
    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Returns the client as its channel sees it.
    pub(crate) fn client(&self) -> Client<'_> {
        Client { context: self.context(), identity: self.socket.identity(), subscription: &self.subscription }
    }

    /// Subscribes the node to the socket's group, and makes its user a member there.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn subscribe(&self) -> Result<(), LayerError> {
        let group = self.subscription.group();
        self.is_member.store(true, Ordering::Relaxed);
        self.context().layer().subscribe(group, self.socket.identity().member()).await?;
        // The interval may be on.
        if self.socket.renderer().interval.is_some() {
            self.realtime.intervals().poll(&self.realtime, group);
        }
        Ok(())
    }

    /// See [`Hub::join`](crate::realtime::hub::Hub::join).
    pub(crate) fn join(&self, cursor: Id, anyhow: bool) -> Result<(), Id> {
        self.realtime.hub().join(self.subscription.group(), &self.socket, self.key, cursor, anyhow)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let group = self.subscription.group();
        self.realtime.hub().unregister(group, &self.socket, self.key);
        if *self.is_member.get_mut() {
            self.context().layer().unsubscribe(group, self.socket.identity().member());
        }
    }
}
