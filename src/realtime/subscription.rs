//! The subscription of one socket to one group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::auth::identity::REFRESH_GRACE;
use crate::realtime::access::Grant;
use crate::realtime::command::Omitted;
use crate::realtime::connection_list::ConnectionList;
use crate::realtime::entrance::Entrance;
use crate::realtime::ephemeral_rate::EphemeralRate;
use crate::realtime::log_position::Kept;
use crate::realtime::protocol::ChannelName;
use crate::realtime::renderer::{Feed, FeedKey};
use crate::wire::close::Close;
use crate::wire::group::Group;
use crate::wire::time::{millis, now};

/// The subscription of one socket to one group, from its request to its end.
#[expect(clippy::struct_excessive_bools, reason = "each is granted alone; they take a byte each")]
pub(crate) struct Subscription {
    group: Group,
    name: Name,
    /// Its user is a member of the group.
    is_member: bool,
    is_private: bool,
    /// See [`JoinedBy::Server`].
    is_of_server: bool,
    may_publish: bool,
    connections: ConnectionList,
    kept: Kept,
    /// No more is sent or done for it.
    has_ended: AtomicBool,
    omitted: Omitted,
    /// Its key among the subscribers of the group that have its feed.
    key: AtomicU32,
    /// The way by which it was admitted.
    entrance: Entrance,
    ephemerals: EphemeralRate,
    /// When the token for it expires, in seconds since 1970; 0 for never.
    expires_at: AtomicU32,
    /// Where its end is recorded, unless it ends with its socket.
    ends: Option<Arc<Ends>>,
}

/// Who asked for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinedBy {
    /// The path of the request: the connection ends with it.
    Path,
    /// The client, which learns how it ends, and may join again.
    Client,
    /// The server, for a client that has connected, which cannot join again by itself.
    Server,
}

/// The subscriptions of one connection that other tasks have ended.
#[derive(Default)]
pub(crate) struct Ends(Mutex<Vec<(Arc<Subscription>, Close)>>);

impl Ends {
    /// Takes the subscriptions that have ended since the last call, and why they have.
    pub(crate) fn take(&self) -> Vec<(Arc<Subscription>, Close)> {
        std::mem::take(&mut self.0.lock())
    }
}

/// The clients' name for a group. Most names end the group's own, which an idle socket then keeps
/// once.
enum Name {
    /// The group's name from this byte on.
    InGroup(u32),
    Apart(Box<str>),
}

impl Subscription {
    /// Creates the subscription of a socket.
    pub(crate) fn new(grant: Grant, entrance: Entrance) -> Self {
        let Grant { group, name, is_private, is_member, may_publish, connections, kept, requires_token: _ } =
            grant;
        let suffix = group.name().strip_suffix(&*name).and_then(|rest| u32::try_from(rest.len()).ok());
        let name = suffix.map_or(Name::Apart(name), Name::InGroup);
        Self {
            group,
            name,
            is_member,
            is_private,
            is_of_server: false,
            may_publish,
            connections,
            kept,
            has_ended: AtomicBool::new(false),
            omitted: Omitted::default(),
            key: AtomicU32::new(u32::MAX),
            entrance,
            ephemerals: EphemeralRate::default(),
            expires_at: AtomicU32::new(0),
            ends: None,
        }
    }

    /// Makes it one of several of a connection, which ends alone and receives fewer events.
    pub(crate) fn among(self, ends: &Arc<Ends>, by: JoinedBy, omitted: Omitted) -> Self {
        Self { ends: Some(Arc::clone(ends)), is_of_server: by == JoinedBy::Server, omitted, ..self }
    }

    /// Returns who asked for it.
    pub(crate) fn joined_by(&self) -> JoinedBy {
        match (&self.ends, self.is_of_server) {
            (None, _) => JoinedBy::Path,
            (Some(_), false) => JoinedBy::Client,
            (Some(_), true) => JoinedBy::Server,
        }
    }

    /// Sets when the token for it expires, in seconds since 1970.
    pub(crate) fn renew(&self, expires_at: Option<u64>) {
        let at = expires_at.map_or(0, |time| u32::try_from(time).unwrap_or(u32::MAX));
        self.expires_at.store(at, Ordering::Relaxed);
    }

    /// Returns how long the client may use its token for it from now on; `None` for ever.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        self.expires_at().map(|time| Duration::from_millis(time.saturating_sub(now())))
    }

    /// Returns how long it may stay unasked: the token may be replaced until then.
    pub(crate) fn valid_for(&self) -> Option<Duration> {
        let end = self.expires_at()? + millis(REFRESH_GRACE);
        Some(Duration::from_millis(end.saturating_sub(now())))
    }

    /// In milliseconds since 1970.
    fn expires_at(&self) -> Option<u64> {
        Some(self.expires_at.load(Ordering::Relaxed)).filter(|at| *at > 0).map(|at| u64::from(at) * 1000)
    }

    /// Returns the group whose events the socket receives.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// Returns the clients' name for the group.
    pub(crate) fn name(&self) -> &str {
        match &self.name {
            Name::InGroup(start) => &self.group.name()[*start as usize..],
            Name::Apart(name) => name,
        }
    }

    /// Returns the channel, as its clients name it.
    pub(crate) fn channel(&self) -> ChannelName<'_> {
        ChannelName { stream: self.entrance.renderer().stream, name: self.name() }
    }

    /// Returns which feed it receives.
    pub(crate) fn feed(&self) -> FeedKey<'_> {
        FeedKey { renderer: self.entrance.renderer(), name: self.name(), omitted: self.omitted }
    }

    pub(crate) fn is_member(&self) -> bool {
        self.is_member
    }

    /// Returns the way by which it was admitted.
    pub(crate) fn entrance(&self) -> Entrance {
        self.entrance
    }

    /// Returns whether only some clients may enter the channel.
    pub(crate) fn is_private(&self) -> bool {
        self.is_private
    }

    /// Returns whether its client may publish.
    pub(crate) fn may_publish(&self) -> bool {
        self.may_publish
    }

    /// Returns what its client may read of the log.
    pub(crate) fn kept(&self) -> Kept {
        self.kept
    }

    /// Returns whether its connection is in a list.
    pub(crate) fn lists_connections(&self) -> bool {
        self.connections != ConnectionList::None
    }

    /// Returns how its client receives joins and leaves of connections, if it does.
    pub(crate) fn connections_feed(&self) -> Option<Feed> {
        let is_wanted = match self.connections {
            ConnectionList::None | ConnectionList::Listed => false,
            ConnectionList::Announced => !self.omitted.presence,
            ConnectionList::AnnouncedToAll => true,
        };
        let renderer = self.entrance.connections().filter(|_| is_wanted)?;
        Some(FeedKey { renderer, name: self.name(), omitted: Omitted::default() }.into())
    }

    /// Returns the rate of its client's ephemeral events.
    pub(crate) fn ephemerals(&self) -> &EphemeralRate {
        &self.ephemerals
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// Marks it as ended. Returns whether it was not.
    pub(crate) fn end(&self) -> bool {
        !self.has_ended.swap(true, Ordering::SeqCst)
    }

    /// Records for the socket's task why it has ended.
    pub(crate) fn record_end(self: &Arc<Self>, close: &Close) {
        if let Some(ends) = &self.ends {
            ends.0.lock().push((Arc::clone(self), close.clone()));
        }
    }

    /// Returns its key among the subscribers of the group that have its feed.
    pub(crate) fn key(&self) -> usize {
        self.key.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set_key(&self, key: usize) {
        self.key.store(u32::try_from(key).expect("fewer sockets than 2^32"), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::Identity;
    use crate::http::context::Context;
    use crate::realtime::access::Access;
    use crate::realtime::denied::Denied;
    use crate::realtime::renderer::tests::{Fragile, Plain};

    struct NoAccess;

    impl Access for NoAccess {
        async fn grant(_: &Context, _: &Identity, _: &str) -> Result<Grant, Denied> {
            Err(Denied::NotFound)
        }
    }

    #[test]
    fn a_name_is_the_one_granted_whether_the_group_ends_with_it_or_not() {
        for (group, name) in [("chat_lobby", "lobby"), ("lobby", "lobby"), ("chat_dm:1:2", "@bob"), ("a", "")]
        {
            let grant = Grant::new(Group::new(group), name);
            let entrance = Entrance::new::<NoAccess, Fragile, Plain>();
            let subscription = Subscription::new(grant, entrance);
            assert_eq!((subscription.group().name(), subscription.name()), (group, name));
        }
    }
}
