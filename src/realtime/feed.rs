//! What subscribers of a group share.

use std::sync::Arc;

use tracing::error;

use crate::realtime::access::Grant;
use crate::realtime::command::Omitted;
use crate::realtime::entrance::Entrance;
use crate::realtime::log_position::Kept;
use crate::realtime::protocol::ChannelName;
use crate::realtime::renderer::{Rendered, Renderer};
use crate::telemetry::{DropReason, METRICS};
use crate::wire::delivery::Delivery;
use crate::wire::event::Event;
use crate::wire::group::Group;

/// What subscribers of a group are sent alike: the events of a channel in a protocol and on a
/// transport, under a name of the group. They share it, with how they were admitted.
pub(crate) struct Feed {
    pub(crate) group: Group,
    pub(crate) renderer: Renderer,
    /// The clients' name for the group.
    pub(crate) name: Arc<str>,
    pub(crate) omitted: Omitted,
    /// The way by which they were admitted.
    pub(crate) entrance: Entrance,
    /// What they may read of the log.
    pub(crate) kept: Kept,
}

impl Feed {
    /// Returns the feed of clients with this grant by an entrance, without the events left out.
    pub(crate) fn new(grant: &Grant, entrance: Entrance, omitted: Omitted) -> Self {
        Self {
            group: grant.group.clone(),
            renderer: entrance.renderer(),
            name: (*grant.name).into(),
            omitted,
            entrance,
            kept: grant.kept,
        }
    }

    /// Returns the feed of joins and leaves of the connections in the group, if the protocol has
    /// them.
    pub(crate) fn of_connections(&self) -> Option<Self> {
        Some(Self {
            group: self.group.connections(),
            renderer: self.entrance.connections()?,
            name: Arc::clone(&self.name),
            omitted: Omitted::default(),
            entrance: self.entrance,
            kept: self.kept,
        })
    }

    /// Returns the channel, as its clients name it.
    pub(crate) fn channel(&self) -> ChannelName<'_> {
        ChannelName { stream: self.renderer.stream, name: &self.name }
    }

    /// Renders an event.
    pub(crate) fn render(&self, event: &Delivery) -> Rendered {
        self.renderer.render(event, &self.name, self.omitted)
    }
}

impl PartialEq for Feed {
    fn eq(&self, other: &Self) -> bool {
        let Self { group, renderer, name, omitted, entrance, kept } = self;
        *renderer == other.renderer
            && *omitted == other.omitted
            && entrance.access() == other.entrance.access()
            && *kept == other.kept
            && *name == other.name
            && *group == other.group
    }
}

/// Counts and logs an event that the application panicked over.
pub(crate) fn count_failure(feed: &Feed, event: &Event) {
    METRICS.dropped(DropReason::ApplicationFailed);
    error!(group = %feed.group, kind = event.kind(), "dropped an event that the application panicked over");
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::auth::identity::Identity;
    use crate::http::context::Context;
    use crate::realtime::access::Access;
    use crate::realtime::denied::Denied;
    use crate::realtime::renderer::tests::{Fragile, Plain};

    /// An access that grants everything.
    struct Open;

    impl Access for Open {
        async fn grant(_: &Context, _: &Identity, name: &str) -> Result<Grant, Denied> {
            Ok(Grant::new(Group::new(name), name))
        }
    }

    /// The feed of the sockets of a channel that panics over one type of event.
    pub(crate) fn feed() -> Arc<Feed> {
        Arc::new(feed_of(&Grant::new(Group::new("chat_lobby"), "lobby")))
    }

    /// Returns the feed of clients with this grant.
    pub(crate) fn feed_of(grant: &Grant) -> Feed {
        Feed::new(grant, Entrance::new::<Open, Fragile, Plain>(), Omitted::default())
    }

    #[test]
    fn a_channel_that_panics_over_an_event_loses_this_event_only() {
        let feed = feed();
        assert!(matches!(feed.render(&Event::new("poison").into()), Rendered::Failed));
        assert!(matches!(feed.render(&Event::new("other").into()), Rendered::Unlisted));
        let empty = Event::new("other").with("text", "");
        assert!(matches!(feed.render(&empty.into()), Rendered::Omitted));
        let hello = Event::new("other").with("text", "hi");
        assert!(matches!(feed.render(&hello.into()), Rendered::Frame(frame) if frame.ends_with(b"hi")));
    }
}
