//! What the hub has: a socket and a subscription of it.

use std::sync::Arc;
use std::time::Duration;

use crate::layer::Disconnect;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Subscription;

/// An open socket and one of its subscriptions, or the socket alone.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) socket: Arc<Socket>,
    pub(crate) subscription: Option<Arc<Subscription>>,
}

impl Registered {
    /// Creates that of a socket and a subscription of it.
    pub(crate) fn new(socket: &Arc<Socket>, subscription: Option<&Arc<Subscription>>) -> Self {
        Self { socket: Arc::clone(socket), subscription: subscription.cloned() }
    }

    /// Returns those that the socket joined beside the channel of its path.
    pub(crate) fn joined(&self) -> impl Iterator<Item = Self> {
        let joined = self.socket.subscriptions().all();
        joined.into_iter().map(|subscription| Self::new(subscription.socket(), Some(&subscription)))
    }

    /// Returns the name of its group.
    pub(crate) fn group(&self) -> Option<&str> {
        Some(self.subscription.as_ref()?.group().name())
    }

    /// Returns how long the client may stay unasked; `None` for ever.
    pub(crate) fn valid_for(&self) -> Option<Duration> {
        let of_subscription = self.subscription.as_ref().and_then(|subscription| subscription.valid_for());
        [self.socket.identity().valid_for(), of_subscription].into_iter().flatten().min()
    }

    /// Returns whether a command ends it.
    pub(crate) fn matches(&self, command: &Disconnect) -> bool {
        let identity = self.socket.identity();
        command.matches(Some(identity.id()), identity.login(), self.group())
    }
}
