//! The connection of a subscription in the list of its group.

use std::sync::Arc;

use crate::layer::{Broker, LayerError};
use crate::realtime::connection_member::ConnectionMember;
use crate::realtime::runtime::Realtime;
use crate::realtime::subscription::{ListedConnection, Subscription};
use crate::wire::id::Id;

/// Adds the connection, of this id, to the list of the group, if there is one, with the info of its
/// subscription. Called before the client is welcomed. What it receives of the others begins with
/// [`CatchUp`](crate::realtime::catch_up::CatchUp).
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn enter(
    realtime: &Realtime,
    subscription: &Subscription,
    client: impl Fn() -> String,
    channel_info: Option<Arc<str>>,
) -> Result<(), LayerError> {
    if !subscription.lists_connections() || subscription.listed().is_some() {
        return Ok(());
    }
    let (hub, socket) = (realtime.hub(), subscription.socket());
    let group = subscription.group().connections();
    let feed = subscription.connections_feed().map(|feed| {
        let feed = hub.share(feed);
        let key = hub.insert_subscriber(socket, &feed, Id::NEVER, false);
        (feed, key)
    });
    let info = socket.identity().info();
    let member = ConnectionMember {
        client: client().into(),
        user: socket.identity().subject().into(),
        info: info.as_deref().map(Into::into),
        channel_info: channel_info.as_deref().map(Into::into),
    };
    let member = member.text();
    // From here on, the end of the registration undoes whatever has been done.
    let listed = ListedConnection { group: group.clone(), member: Arc::clone(&member), feed };
    subscription.set_listed(listed);
    realtime.context().layer().subscribe(&group, Some(&member)).await
}

/// Removes the connection of a subscription from the list of its group.
pub(crate) fn leave(realtime: &Realtime, subscription: &Subscription) {
    let Some(ListedConnection { group, member, feed }) = subscription.listed() else { return };
    if let Some((feed, key)) = feed {
        realtime.hub().remove_subscriber(feed, *key);
    }
    realtime.context().layer().unsubscribe(group, Some(member));
}
