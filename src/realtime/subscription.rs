//! The subscription of one socket to one group.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::realtime::access::{AccessCheck, Grant};
use crate::realtime::start_position::StartPosition;
use crate::wire::group::Group;
use crate::wire::time::millis;

/// The subscription of one socket to one group, from the handshake to the close.
pub(crate) struct Subscription {
    group: Group,
    name: Name,
    /// Its user is a member of the group.
    is_member: bool,
    /// What admitted it.
    access: AccessCheck,
    is_private: bool,
    /// `None` for a socket that receives neither a welcome nor logged events.
    start: Option<StartPosition>,
    /// When its request arrived.
    opened_at: Instant,
    /// When the next ephemeral event is allowed, in milliseconds after `opened_at`.
    ephemeral_at: AtomicU64,
}

/// The clients' name for a group. Most names end the group's own, which an idle socket then keeps
/// once.
enum Name {
    /// The group's name from this byte on.
    InGroup(u32),
    Apart(Box<str>),
}

impl Subscription {
    /// Creates the subscription of a socket whose request arrived at `opened_at`.
    pub(crate) fn new(
        grant: Grant,
        access: AccessCheck,
        start: Option<StartPosition>,
        opened_at: Instant,
    ) -> Self {
        let Grant { group, name, is_private, is_member } = grant;
        let suffix = group.name().strip_suffix(&*name).and_then(|rest| u32::try_from(rest.len()).ok());
        let name = suffix.map_or(Name::Apart(name), Name::InGroup);
        Self { group, name, access, is_private, is_member, start, opened_at, ephemeral_at: AtomicU64::new(0) }
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

    pub(crate) fn is_member(&self) -> bool {
        self.is_member
    }

    /// Returns what admitted it.
    pub(crate) fn access(&self) -> AccessCheck {
        self.access
    }

    /// Returns whether only some clients may enter the channel.
    pub(crate) fn is_private(&self) -> bool {
        self.is_private
    }

    pub(crate) fn start(&self) -> Option<StartPosition> {
        self.start
    }

    pub(crate) fn opened_at(&self) -> Instant {
        self.opened_at
    }

    /// Returns whether an ephemeral event may be published now, and if so, forbids the next one for
    /// this period.
    pub(crate) fn take_ephemeral(&self, period: Duration) -> bool {
        let now = millis(self.opened_at.elapsed());
        let is_allowed = now >= self.ephemeral_at.load(Ordering::Relaxed);
        if is_allowed {
            self.ephemeral_at.store(now + millis(period), Ordering::Relaxed);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::Identity;
    use crate::http::context::Context;
    use crate::realtime::access::Access;
    use crate::realtime::denied::Denied;

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
            let access = AccessCheck::new::<NoAccess>();
            let subscription = Subscription::new(grant, access, None, Instant::now());
            assert_eq!((subscription.group().name(), subscription.name()), (group, name));
        }
    }
}
