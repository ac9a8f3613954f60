//! The registrations of a socket and of its subscriptions, undone on drop.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use crate::layer::{Broker, LayerError};
use crate::realtime::listed_connection;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Subscription;

/// The registration of a socket in the hub.
pub(crate) struct SocketRegistration {
    pub(crate) realtime: Arc<Realtime>,
    pub(crate) socket: Arc<Socket>,
    /// Its key in the hub.
    key: usize,
}

impl SocketRegistration {
    /// Registers a socket, whose request arrived at `opened_at`, with the subscription to the
    /// channel of its path.
    pub(crate) fn register(
        realtime: &Arc<Realtime>,
        socket: Arc<Socket>,
        subscription: Option<&Arc<Subscription>>,
        opened_at: Instant,
    ) -> Self {
        let key = realtime.hub().register(&socket, subscription, opened_at);
        Self { realtime: Arc::clone(realtime), socket, key }
    }
}

impl Drop for SocketRegistration {
    fn drop(&mut self) {
        self.realtime.hub().unregister(self.key);
    }
}

/// The registration of a subscription among the subscribers of its group, here and in the layer.
pub(crate) struct Registration {
    realtime: Arc<Realtime>,
    subscription: Arc<Subscription>,
    /// It outlives this.
    is_kept: bool,
}

impl Registration {
    /// Registers the subscription, subscribes the node to its group, and makes the socket's user a
    /// member there. The socket receives the group's events at once or, if it resumes, from
    /// [`Hub::join`](crate::realtime::hub::Hub::join) on.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn subscribe(
        realtime: &Arc<Realtime>,
        subscription: Arc<Subscription>,
    ) -> Result<Self, LayerError> {
        realtime.hub().subscribe(&subscription);
        // From here on, its drop undoes whatever has been done.
        let registration = Self { realtime: Arc::clone(realtime), subscription, is_kept: false };
        let group = registration.group();
        realtime.context().layer().subscribe(group, registration.member()).await?;
        registration.poll_interval();
        Ok(registration)
    }

    /// As [`subscribe`](Self::subscribe), unless the store has a record under this key. Returns
    /// `None` if it has one, and where it has to be read first: nothing is registered then.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn subscribe_unless(
        realtime: &Arc<Realtime>,
        subscription: &Arc<Subscription>,
        record: &str,
    ) -> Result<Option<Self>, LayerError> {
        let layer = realtime.context().layer();
        let Some(member) = subscription.member() else { return Ok(None) };
        if !layer.subscribe_unless(subscription.group(), member, record).await? {
            return Ok(None);
        }
        // What was delivered meanwhile was published before the client's request is answered.
        realtime.hub().subscribe(subscription);
        let (realtime, subscription) = (Arc::clone(realtime), Arc::clone(subscription));
        let registration = Self { realtime, subscription, is_kept: false };
        registration.poll_interval();
        Ok(Some(registration))
    }

    /// Makes the node ask for the channel's interval, if it has one, which may be on.
    fn poll_interval(&self) {
        if self.feed().renderer.interval.is_some() {
            self.realtime.intervals().poll(&self.realtime, self.group());
        }
    }

    /// Keeps the subscription registered until [`undo`](Self::undo).
    pub(crate) fn keep(mut self) -> Arc<Subscription> {
        self.is_kept = true;
        Arc::clone(&self.subscription)
    }

    /// Undoes the registration of a subscription that was [kept](Self::keep). Once: its key may be
    /// another one's afterwards.
    pub(crate) fn undo(realtime: &Realtime, subscription: &Subscription) {
        listed_connection::leave(realtime, subscription);
        realtime.hub().unsubscribe(subscription);
        realtime.context().layer().unsubscribe(subscription.group(), subscription.member());
    }
}

impl Deref for Registration {
    type Target = Arc<Subscription>;

    fn deref(&self) -> &Arc<Subscription> {
        &self.subscription
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.is_kept {
            Self::undo(&self.realtime, &self.subscription);
        }
    }
}
