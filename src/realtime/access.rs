//! Access to a channel: whether a client may enter it, and which group it joins there.

use std::future::Future;

use std::time::Duration;

use crate::auth::identity::Identity;
use crate::http::context::Context;
use crate::realtime::connection_list::ConnectionList;
use crate::realtime::denied::Denied;
use crate::realtime::log_position::Kept;
use crate::wire::group::Group;

/// Decides whether a client may enter a channel.
///
/// It sees no request: the answer depends on who asks and on what is stored, and not on how the
/// client asks. An open socket is asked again whenever its node may have missed that the answer has
/// changed. Anonymous clients are all alike: the answer is asked for once for all of them.
///
/// # Examples
/// ```
/// use parlor::{Access, Context, Denied, Grant, Group, Identity, Reason};
///
/// /// Only accounts read the news.
/// struct NewsAccess;
///
/// impl Access for NewsAccess {
///     async fn grant(_: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
///         if !identity.is_user() {
///             return Err(Denied::LoginRequired(Reason::new("expected a login")));
///         }
///         Ok(Grant::new(Group::new(&format!("news_{name}")), name))
///     }
/// }
/// ```
pub trait Access: Send + Sync + 'static {
    /// Returns the group that the client joins under this name: the first parameter of the route's
    /// path, or empty if the path has none or the parameter is not UTF-8; or the name that a client
    /// gives on a connection of [several channels](crate::Streams).
    ///
    /// # Errors
    /// Returns [`Denied`], which becomes the response to the handshake or to the join.
    fn grant(
        context: &Context,
        identity: &Identity,
        name: &str,
    ) -> impl Future<Output = Result<Grant, Denied>> + Send;

    /// Returns what [`grant`](Self::grant) returns as long as the store has no record under a key,
    /// if that is known without asking the layer. The layer then looks for the record in the step
    /// in which the client enters, and where it finds one, `grant` is asked.
    ///
    /// A disconnect command about the group has to follow each write of the record.
    fn presume(_context: &Context, _identity: &Identity, _name: &str) -> Option<PresumedGrant> {
        None
    }
}

/// What a client may enter unless there is a record.
#[derive(Clone, Debug)]
pub struct PresumedGrant {
    /// What it may enter.
    pub grant: Grant,
    /// The key of the record.
    pub unless: String,
}

/// The group that a client may join.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "an access grants each alone")]
pub struct Grant {
    pub(crate) group: Group,
    pub(crate) name: Box<str>,
    pub(crate) is_private: bool,
    pub(crate) is_member: bool,
    pub(crate) may_publish: bool,
    pub(crate) requires_token: bool,
    pub(crate) connections: ConnectionList,
    pub(crate) kept: Kept,
}

impl Grant {
    /// Grants access to this group, which clients know under this name.
    pub fn new(group: Group, name: &str) -> Self {
        Self {
            group,
            name: name.into(),
            is_private: false,
            is_member: true,
            may_publish: true,
            requires_token: false,
            connections: ConnectionList::None,
            kept: Kept::ALL,
        }
    }

    /// Marks a channel that only some clients may enter. Its welcome says so, and its sockets are
    /// closed when it is no longer such a channel: clients do not say in public what they meant for
    /// few.
    #[must_use]
    pub fn private(self) -> Self {
        Self { is_private: true, ..self }
    }

    /// Requires a token for the channel of a client that joins it by itself.
    #[must_use]
    pub fn by_token(self) -> Self {
        Self { requires_token: true, ..self }
    }

    /// Refuses what the client wants to publish in the channel.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { may_publish: false, ..self }
    }

    /// Bounds what clients may read that know messages by their numbers: the number of the newest
    /// messages, and their age. The log of the group may have more.
    #[must_use]
    pub fn with_history(self, size: Option<u32>, ttl: Option<Duration>) -> Self {
        Self { kept: Kept::new(size, ttl), ..self }
    }

    /// Returns the clients' name for the group.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Replaces the clients' name for the group.
    #[must_use]
    pub fn under_name(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Makes connections known in the channel. Each takes a second membership in the layer.
    #[must_use]
    pub fn with_connections(self, connections: ConnectionList) -> Self {
        Self { connections, ..self }
    }

    /// Makes the client a listener, who is no member of the group and is not listed.
    #[must_use]
    pub fn as_listener(self) -> Self {
        Self { is_member: false, ..self }
    }
}
