//! The inbox: live unread counts of a user's private chats, for every open page.

use parlor::{Access, Channel, Client, Context, Denied, Event, Grant, Identity, LayerError, Reason, View};

use crate::protocols::streams::INBOX;
use crate::rooms::unread;

/// Admits a user to its own inbox, at `/ws/inbox/`.
pub(crate) struct InboxAccess;

impl Access for InboxAccess {
    async fn grant(_: &Context, identity: &Identity, _: &str) -> Result<Grant, Denied> {
        if !identity.is_user() {
            return Err(Denied::Forbidden(Reason::new("only accounts have an inbox")));
        }
        Ok(Grant::new(unread::inbox_group(identity.id()), INBOX).private())
    }
}

/// The channel at `/ws/inbox/`.
pub(crate) struct Inbox;

impl Channel for Inbox {
    const STREAM: &'static str = INBOX;
    const REPLAYS: bool = false;
    const TAKES_COMMANDS: bool = false;

    fn view(event: &Event) -> Option<View<'_>> {
        if event.kind() != unread::UNREAD_TYPE {
            return None;
        }
        let count = event.text("count")?.parse().ok()?;
        Some(View::Unread { user: event.text("user")?, name: event.text("name")?, count })
    }

    /// Returns the current counts. Later changes follow in the group's log.
    async fn greeting(client: Client<'_>) -> Result<Vec<Event>, LayerError> {
        let entries = unread::entries(client.context(), client.identity().id(), 1).await?;
        Ok(entries.iter().map(|entry| unread::event(&entry.user, &entry.name, entry.unread)).collect())
    }
}
