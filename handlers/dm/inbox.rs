//! The inbox: live unread counts of a user's private chats, for every open page.

use parlor::{
    Action, Broker, Consumer, Context, Event, Frame, Group, LayerError, Refusal, Request, StartPosition,
    Subscription, Welcome,
};

use crate::chat::frame_error::{FrameError, FrameErrorCode};
use crate::chat::server_frame as frames;
use crate::dm::conversation as talk;

/// The type of an event with the `user` and `name` of the peer, and the unread `count`.
const UNREAD_TYPE: &str = "chat_unread";
/// The clients' name for the group.
const NAME: &str = "inbox";

/// A socket at `/ws/inbox/`.
pub(crate) struct Inbox;

impl Consumer for Inbox {
    const SUBPROTOCOL: Option<&'static str> = Some("parlor.v1");

    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let identity = request.identity();
        if !identity.is_user() {
            return Err(Refusal::forbidden("only accounts have an inbox"));
        }
        let session = Subscription::in_group(request, group(identity.id())).display_name(NAME);
        Ok(session.restricted().resuming(StartPosition::now()))
    }

    async fn receive(_: &Subscription, _: Frame<'_>) -> Action {
        let error = FrameError::new(FrameErrorCode::UnknownType, "this socket only listens");
        Action::Send(frames::error(&error, None))
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        if event.kind() != UNREAD_TYPE {
            return None;
        }
        let count = event.text("count")?.parse().ok()?;
        Some(frames::unread(event.text("user")?, event.text("name")?, count))
    }

    fn welcome(session: &Subscription, welcome: &Welcome) -> Option<Frame<'static>> {
        Some(frames::welcome(session.name(), session.identity(), welcome))
    }

    /// Returns the current counts. Later changes follow in the group's log.
    async fn greeting(session: &Subscription) -> Result<Vec<Frame<'static>>, LayerError> {
        let lines = talk::lines(session.context(), session.identity().id()).await?;
        let unread = lines.iter().filter(|line| line.unread > 0);
        Ok(unread.map(|line| frames::unread(&line.user, &line.name, line.unread)).collect())
    }

    fn bye(reconnect: std::time::Duration) -> Option<Frame<'static>> {
        Some(frames::bye(reconnect))
    }
}

/// Sends all sockets of `user` the number of unread messages from `other`.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not accept it.
pub(crate) async fn send_unread(
    context: &Context,
    user: &str,
    other: &str,
    name: &str,
    count: usize,
) -> Result<(), LayerError> {
    let event =
        Event::new(UNREAD_TYPE).with("user", other).with("name", name).with("count", &count.to_string());
    context.layer().append(&group(user), &event, None).await?;
    Ok(())
}

/// Returns the group of a user's inbox. Names of rooms have no colon, so no room has this group.
fn group(user: &str) -> Group {
    Group::new(&format!("inbox:{user}"))
}
