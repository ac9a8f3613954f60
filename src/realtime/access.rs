//! Access to a channel: whether a client may enter it, and which group it joins there.

use std::future::Future;

use crate::auth::identity::Identity;
use crate::http::context::Context;
use crate::realtime::denied::Denied;
use crate::wire::group::Group;

/// Decides whether a client may enter a channel.
///
/// It sees no request: the answer depends on who asks and on what is stored, and not on how the
/// client asks.
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
    /// path, or empty if the path has none or the parameter is not UTF-8.
    ///
    /// # Errors
    /// Returns [`Denied`], which becomes the response to the handshake.
    fn grant(
        context: &Context,
        identity: &Identity,
        name: &str,
    ) -> impl Future<Output = Result<Grant, Denied>> + Send;
}

/// The group that a client may join.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(crate) group: Group,
    pub(crate) name: Box<str>,
    pub(crate) is_restricted: bool,
}

impl Grant {
    /// Grants access to this group, which clients know under this name.
    pub fn new(group: Group, name: &str) -> Self {
        Self { group, name: name.into(), is_restricted: false }
    }

    /// Marks access that can be revoked. The socket is closed, and has to reconnect, when this node
    /// may have missed that it was.
    #[must_use]
    pub fn restricted(self) -> Self {
        Self { is_restricted: true, ..self }
    }
}
