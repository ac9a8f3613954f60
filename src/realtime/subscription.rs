//! The subscription of one socket to one group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use once_cell::race::OnceBox;

use crate::auth::identity::REFRESH_GRACE;
use crate::http::context::Context;
use crate::realtime::access::Grant;
use crate::realtime::client::Client;
use crate::realtime::connection_list::ConnectionList;
use crate::realtime::entrance::Entrance;
use crate::realtime::ephemeral_rate::EphemeralRate;
use crate::realtime::feed::Feed;
use crate::realtime::protocol::ChannelName;
use crate::realtime::socket::Socket;
use crate::wire::group::Group;
use crate::wire::time::{millis, now};

/// The subscription of one socket to one group, from its request to its end. It is kept small: a
/// connection may have many.
pub(crate) struct Subscription {
    socket: Arc<Socket>,
    /// What it receives, of which group.
    feed: Arc<Feed>,
    /// Its connection in the list of the group, where there is one.
    listed: OnceBox<ListedConnection>,
    ephemerals: EphemeralRate,
    /// Its key among the subscribers of the group that have its feed.
    key: AtomicU32,
    /// When the token for it expires, in seconds since 1970; 0 for never.
    expires_at: AtomicU32,
    joined_by: JoinedBy,
    connections: ConnectionList,
    /// Its user is a member of the group.
    is_member: bool,
    is_private: bool,
    may_publish: bool,
    /// No more is sent or done for it.
    has_ended: AtomicBool,
}

// With the counts of its pointer, what a further channel of a connection takes beside its place in
// lists. 48 and 16 bytes fit into one allocation of 64.
const _: () = assert!(size_of::<Subscription>() <= 48);

/// One connection in the list of a group.
pub(crate) struct ListedConnection {
    /// The group whose members are connections.
    pub(crate) group: Group,
    pub(crate) member: Arc<str>,
    /// What its client receives of the others, and its key among those that do.
    pub(crate) feed: Option<(Arc<Feed>, usize)>,
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

impl Subscription {
    /// Creates the subscription of a socket to the feed that this grant gives it.
    pub(crate) fn new(socket: Arc<Socket>, feed: Arc<Feed>, grant: &Grant, joined_by: JoinedBy) -> Self {
        Self {
            socket,
            feed,
            listed: OnceBox::new(),
            ephemerals: EphemeralRate::default(),
            key: AtomicU32::new(u32::MAX),
            expires_at: AtomicU32::new(0),
            joined_by,
            connections: grant.connections,
            is_member: grant.is_member,
            is_private: grant.is_private,
            may_publish: grant.may_publish,
            has_ended: AtomicBool::new(false),
        }
    }

    /// Returns who asked for it.
    pub(crate) fn joined_by(&self) -> JoinedBy {
        self.joined_by
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
        &self.feed.group
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Returns the client as its channel sees it.
    pub(crate) fn client<'a>(&'a self, context: &'a Arc<Context>) -> Client<'a> {
        Client {
            context,
            identity: self.socket.identity(),
            group: self.group(),
            ephemerals: &self.ephemerals,
            kept: self.feed.kept,
            lists_connections: self.lists_connections(),
            connection: None,
        }
    }

    /// Returns the member of the group that the socket's user is, unless it only listens.
    pub(crate) fn member(&self) -> Option<&Arc<str>> {
        self.is_member.then(|| self.socket.identity().member())
    }

    /// Returns the clients' name for the group.
    pub(crate) fn name(&self) -> &str {
        &self.feed.name
    }

    /// Returns the channel, as its clients name it.
    pub(crate) fn channel(&self) -> ChannelName<'_> {
        self.feed.channel()
    }

    /// Returns which feed it receives.
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Returns the way by which it was admitted.
    pub(crate) fn entrance(&self) -> Entrance {
        self.feed.entrance
    }

    /// Returns whether only some clients may enter the channel.
    pub(crate) fn is_private(&self) -> bool {
        self.is_private
    }

    /// Returns whether its client may publish.
    pub(crate) fn may_publish(&self) -> bool {
        self.may_publish
    }

    /// Returns whether its connection is in a list.
    pub(crate) fn lists_connections(&self) -> bool {
        self.connections != ConnectionList::None
    }

    /// Returns how its client receives joins and leaves of connections, if it does.
    pub(crate) fn connections_feed(&self) -> Option<Feed> {
        let is_wanted = match self.connections {
            ConnectionList::None | ConnectionList::Listed => false,
            ConnectionList::Announced => !self.feed.omitted.presence,
            ConnectionList::AnnouncedToAll => true,
        };
        self.feed.of_connections().filter(|_| is_wanted)
    }

    /// Returns its connection in the list of the group, once it is there.
    pub(crate) fn listed(&self) -> Option<&ListedConnection> {
        self.listed.get()
    }

    /// Sets its connection in the list of the group.
    pub(crate) fn set_listed(&self, listed: ListedConnection) {
        let _ = self.listed.set(Box::new(listed)); // one task at a time lists it
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// Marks it as ended. Returns whether it was not.
    pub(crate) fn end(&self) -> bool {
        !self.has_ended.swap(true, Ordering::SeqCst)
    }

    /// Returns its key among the subscribers of the group that have its feed.
    pub(crate) fn key(&self) -> usize {
        self.key.load(Ordering::Relaxed) as usize
    }

    /// Sets its key among the subscribers of the group that have its feed.
    pub(crate) fn set_key(&self, key: usize) {
        self.key.store(u32::try_from(key).expect("fewer subscribers than 2^32"), Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::auth::identity::Identity;
    use crate::realtime::backlog::Limits;
    use crate::realtime::feed::tests::feed_of;
    use crate::realtime::renderer::Wire;
    use crate::realtime::renderer::tests::Plain;
    use crate::wire::frame::Transport;

    pub(crate) fn socket() -> Arc<Socket> {
        let limits = Limits { bytes: 1024, messages: 16 };
        let wire = Wire::new::<Plain>(Transport::WebSocket);
        Arc::new(Socket::new(wire, Arc::new(Identity::anonymous()), limits, 0))
    }

    /// Returns the subscription of a socket to a channel, which its client joined.
    pub(crate) fn subscription(socket: &Arc<Socket>, name: &str) -> Subscription {
        let grant = Grant::new(Group::new(name), name);
        Subscription::new(Arc::clone(socket), Arc::new(feed_of(&grant)), &grant, JoinedBy::Client)
    }
}
