//! Connections as members: in groups that list them, each connection is a member of a second group,
//! whose members are connections.

use crate::http::context::Context;
use crate::layer::{LayerError, Presence, PresenceSnapshot};
use crate::realtime::channel::Channel;
use crate::realtime::view::View;
use crate::wire::event::{Event, PRESENCE};
use crate::wire::group::Group;

/// Returns the connections that are in a channel which lists them, each as
/// [`ConnectionMember`](crate::ConnectionMember) parses it.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub async fn connections_in(context: &Context, group: &Group) -> Result<PresenceSnapshot, LayerError> {
    context.layer().presence(&group.connections()).await
}

/// The channel of the connections that are in another channel.
pub(crate) struct Connections;

impl Channel for Connections {
    const TAKES_COMMANDS: bool = false;

    fn view(event: &Event) -> Option<View<'_>> {
        if event.kind() != PRESENCE {
            return None;
        }
        let has_joined = match event.text("change")? {
            "join" => true,
            "leave" => false,
            _ => return View::from_layer(event),
        };
        Some(View::Connection { has_joined, member: event.text("user")? })
    }
}
