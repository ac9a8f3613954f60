//! The subscriptions of one socket beside that of its path, as other tasks see them.

use std::sync::Arc;

use once_cell::race::OnceBox;
use parking_lot::Mutex;

use crate::realtime::protocol::ChannelName;
use crate::realtime::subscription::Subscription;
use crate::wire::close::Close;

/// The subscriptions of a socket to channels that its client or the server asked for. They hold
/// their socket: the one that removes them undoes their registrations.
#[derive(Default)]
pub(crate) struct Subscriptions {
    /// Created at the first one: most sockets stay in the channel of their path.
    several: OnceBox<Mutex<Several>>,
}

#[derive(Default)]
struct Several {
    /// In the order of their channels, so that one is found fast and takes a pointer.
    all: Vec<Arc<Subscription>>,
    /// Those that other tasks have ended, and why they have.
    ended: Vec<(Arc<Subscription>, Close)>,
}

impl Subscriptions {
    /// Adds one, and returns the one of this channel before, whose end is not taken any more: the
    /// client would take it for the end of this one.
    pub(crate) fn add(&self, subscription: &Arc<Subscription>) -> Option<Arc<Subscription>> {
        let mut several = self.several.get_or_init(Box::default).lock();
        let Several { all, ended } = &mut *several;
        match at(all, subscription.channel()) {
            Ok(at) => {
                let replaced = std::mem::replace(&mut all[at], Arc::clone(subscription));
                ended.retain(|(subscription, _)| !Arc::ptr_eq(subscription, &replaced));
                Some(replaced)
            }
            Err(at) => {
                if all.len() == all.capacity() {
                    all.reserve_exact(all.len() / 8 + 1); // a vector would double
                }
                all.insert(at, Arc::clone(subscription));
                None
            }
        }
    }

    /// Removes one. Returns whether it was there.
    pub(crate) fn remove(&self, subscription: &Arc<Subscription>) -> bool {
        let Some(several) = self.several.get() else { return false };
        let all = &mut several.lock().all;
        position(all, subscription).map(|at| all.remove(at)).is_some()
    }

    /// Removes all.
    pub(crate) fn take_all(&self) -> Vec<Arc<Subscription>> {
        let Some(several) = self.several.get() else { return Vec::new() };
        let mut several = several.lock();
        several.ended.clear();
        std::mem::take(&mut several.all)
    }

    /// Returns the one to this channel.
    pub(crate) fn find(&self, channel: ChannelName<'_>) -> Option<Arc<Subscription>> {
        let several = self.several.get()?.lock();
        Some(Arc::clone(&several.all[at(&several.all, channel).ok()?]))
    }

    /// Returns all.
    pub(crate) fn all(&self) -> Vec<Arc<Subscription>> {
        self.several.get().map_or_else(Vec::new, |several| several.lock().all.clone())
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.several.get().map_or(0, |several| several.lock().all.len())
    }

    /// Ends one of them, unless it has ended, and records for the socket's task why. `silence` is
    /// called before, so that nothing is delivered to it after its end is known. Returns whether it
    /// ended: the socket's task finds none that has ended and is not recorded.
    pub(crate) fn end(
        &self,
        subscription: &Arc<Subscription>,
        close: &Close,
        silence: impl FnOnce(),
    ) -> bool {
        let Some(several) = self.several.get() else { return false };
        let Several { all, ended } = &mut *several.lock();
        if position(all, subscription).is_none() || !subscription.end() {
            return false;
        }
        silence();
        ended.push((Arc::clone(subscription), close.clone()));
        true
    }

    /// Takes those that have ended since the last call.
    pub(crate) fn take_ended(&self) -> Vec<(Arc<Subscription>, Close)> {
        let Some(several) = self.several.get() else { return Vec::new() };
        std::mem::take(&mut several.lock().ended)
    }
}

/// Returns where a subscription is.
fn position(all: &[Arc<Subscription>], subscription: &Arc<Subscription>) -> Option<usize> {
    let at = at(all, subscription.channel()).ok()?;
    Arc::ptr_eq(&all[at], subscription).then_some(at)
}

/// Returns where the subscription to a channel is, or where it belongs.
fn at(all: &[Arc<Subscription>], channel: ChannelName<'_>) -> Result<usize, usize> {
    let key = (channel.stream, channel.name);
    all.binary_search_by(|subscription| {
        let ChannelName { stream, name } = subscription.channel();
        (stream, name).cmp(&key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::subscription::tests::{socket, subscription};
    use crate::wire::close::CloseCode;

    #[test]
    fn a_channel_that_was_joined_again_is_not_reported_as_ended() {
        let (socket, subscriptions) = (socket(), Subscriptions::default());
        let [ended, again] = [(); 2].map(|()| Arc::new(subscription(&socket, "lobby")));
        assert!(subscriptions.add(&ended).is_none());
        assert!(subscriptions.end(&ended, &CloseCode::Forbidden.into(), || {}));
        let replaced = subscriptions.add(&again).expect("the one before");
        assert!(Arc::ptr_eq(&replaced, &ended));
        assert_eq!(subscriptions.take_ended().len(), 0);
        assert!(subscriptions.end(&again, &CloseCode::Forbidden.into(), || {}));
        assert_eq!(subscriptions.take_ended().len(), 1);
    }
}
