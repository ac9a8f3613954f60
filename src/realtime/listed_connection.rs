//! One connection in the list of a group.

use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::auth::identity::Identity;
use crate::layer::{Broker, LayerError, Presence};
use crate::realtime::registration::Registration;
use crate::realtime::renderer::{Feed, Rendered};
use crate::realtime::runtime::Realtime;
use crate::realtime::subscribers::Cursor;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// What separates members, and what escapes it.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// One connection in the list of a group, until this is dropped.
pub(crate) struct ListedConnection {
    realtime: Arc<Realtime>,
    group: Group,
    member: Arc<str>,
    /// What its client receives of the others, and its key among those that do.
    feed: Option<(Feed, usize)>,
}

impl ListedConnection {
    /// Adds a connection to the list of its group. Its client receives its own join, too.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn enter(
        registration: &Registration,
        client: &str,
        feed: Option<Feed>,
    ) -> Result<Self, LayerError> {
        let (realtime, socket) = (Arc::clone(registration.realtime()), registration.socket());
        let group = registration.subscription().group().connections();
        let feed = feed.map(|feed| {
            let key = realtime.hub().insert_subscriber(&group, socket, feed.key(), Id::NEVER);
            (feed, key)
        });
        let member = member(client, socket.identity());
        let listed = Self { realtime, group, member, feed };
        let layer = listed.realtime.context().layer();
        layer.subscribe(&listed.group, Some(&listed.member)).await?;
        let Some((feed, key)) = &listed.feed else { return Ok(listed) };
        loop {
            // From here on the others' changes; its own join may have come before.
            let presence = layer.presence(&listed.group).await?;
            let cursor = Cursor { id: Id::START, epoch: None, presence: presence.version };
            if listed.realtime.hub().join_subscriber(&listed.group, feed.key(), *key, cursor, true).is_ok() {
                let own = presence.event("join", Some(&listed.member)).into();
                if let Rendered::Frame(frame) = feed.render(&own) {
                    socket.send(&frame);
                }
                return Ok(listed);
            }
        }
    }
}

impl Drop for ListedConnection {
    fn drop(&mut self) {
        if let Some((feed, key)) = &self.feed {
            self.realtime.hub().remove_subscriber(&self.group, feed.key(), *key);
        }
        self.realtime.context().layer().unsubscribe(&self.group, Some(&self.member));
    }
}

/// Returns the member of a list that a connection of this client is.
fn member(client: &str, identity: &Identity) -> Arc<str> {
    format!("{client}/{}", utf8_percent_encode(identity.subject(), ESCAPED)).into()
}
