//! CatchUp: how a socket comes to where its group is now, without a hole and without a message twice.
//!
//! The log is the buffer. A socket takes its place in the hub first and gets nothing there; it reads the log, page by
//! page and at its own pace, until it has all that the group's other sockets have, and joins them at that point.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::http::context::Context;
use crate::layer::LayerError;
use crate::layer::{Broker, HistoryRange, MAX_LISTED_MEMBERS, Page, Presence};
use crate::realtime::consumer::Consumer;
use crate::realtime::registration::Registration;
use crate::realtime::subscription::Subscription;
use crate::realtime::vtable::{Kind, Rendered};
use crate::realtime::welcome::StartPosition;
use crate::realtime::welcome::Welcome;
use crate::telemetry::{GapReason, METRICS, Recovery};
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP};
use crate::wire::group::Group;
use crate::wire::id::{Id, ParseIdError};
use crate::wire::time::{millis, now};

/// How many messages a socket gets instead of what cannot be given.
const TAIL: usize = 50;
/// About how many bytes may wait for a reader of the past.
const AT_ONCE: usize = 128 * 1024;

/// A socket on its way to now.
pub(crate) struct CatchUp {
    node: Arc<Context>,
    kind: Kind,
    group: Group,
    start: StartPosition,
    /// Everything up to here was given to the socket; `None` before its welcome.
    cursor: Option<Id>,
    /// What the log held when the socket came.
    end: Id,
    /// The log has nothing after what the socket has, though the others were further.
    lost: bool,
    /// It gets what the others get.
    joined: bool,
    /// What was known to be redacted before the past was read.
    redacted: BTreeSet<Id>,
    /// Events whose text the socket may have, and has to be told that they are redacted.
    untold: Vec<Id>,
}

impl CatchUp {
    /// For a socket that resumes; `None` for one that does not.
    pub(crate) fn of(session: &Subscription, kind: Kind) -> Option<Self> {
        let (node, group, start) =
            (Arc::clone(session.context()), session.group()?.clone(), session.start()?);
        Some(Self {
            node,
            kind,
            group,
            start,
            cursor: None,
            end: Id::START,
            lost: false,
            joined: false,
            redacted: BTreeSet::new(),
            untold: Vec::new(),
        })
    }

    /// The next frames for the socket; `None` when it has joined the others at this place.
    pub(crate) async fn next<C: Consumer>(
        &mut self,
        place: &Registration,
    ) -> Result<Option<Bytes>, LayerError> {
        loop {
            if let Some(frames) = self.tell_covered() {
                return Ok(Some(frames));
            }
            if self.joined {
                return Ok(None);
            }
            let Some(cursor) = self.cursor else { return self.open::<C>(place.session()).await.map(Some) };
            let position = if cursor < self.end {
                self.end
            } else {
                let Err(position) = place.join(cursor, self.lost) else {
                    self.joined = true;
                    // The others were told while this one waited.
                    let redacted = self.node.layer().redacted(&self.group);
                    self.untold = redacted.difference(&self.redacted).copied().collect();
                    continue;
                };
                position
            };
            let page = self.node.layer().history(&self.group, HistoryRange::After(cursor)).await?;
            let mut frames = BytesMut::new();
            match page.events.first().and_then(|event| event.stamp()) {
                Some(first) if first.prev == cursor => {}
                // The log is ahead of what this node has heard: the rest will come live.
                None if self.end > cursor && page.last == cursor => {
                    self.end = cursor;
                    continue;
                }
                first => {
                    // The log was trimmed or rewritten under our feet.
                    let trimmed = first.is_some_and(|first| first.prev > cursor);
                    let reason = if trimmed { GapReason::Trimmed } else { GapReason::Rewritten };
                    METRICS.gap(reason);
                    let gap =
                        Event::new(GAP).with("reason", reason.as_str()).with("after", &cursor.to_string());
                    self.render(&gap.into(), &mut frames);
                    // What a rewritten log holds counts, not how far the others once were.
                    self.lost = page.events.is_empty();
                    self.cursor = Some(if self.lost { page.last } else { position });
                    self.end = Id::START;
                }
            }
            self.render_all(&page, &mut frames);
            return Ok(Some(frames.freeze()));
        }
    }

    /// The welcome, and what follows it at once.
    async fn open<C: Consumer>(&mut self, session: &Subscription) -> Result<Bytes, LayerError> {
        self.redacted = self.node.layer().redacted(&self.group);
        if let Some(Ok(since)) = self.start.since {
            self.untold = self.redacted.range(..=since).copied().collect();
        }
        let (recovery, page) = self.first_page().await?;
        METRICS.resumed(recovery);
        let mut presence = self.node.layer().presence(&self.group).await?;
        if let Some(members) = &mut presence.members
            && !members.iter().any(|member| **member == **session.identity().member())
        {
            members.push(session.identity().member().to_string());
            presence.count += 1;
        }
        presence.members = presence.members.filter(|members| members.len() <= MAX_LISTED_MEMBERS);
        let welcome = Welcome { node: self.node.name().to_owned(), last: page.last, recovery, presence };
        let mut frames = BytesMut::new();
        if let Some(frame) = C::welcome(session, &welcome) {
            frames.extend_from_slice(&self.kind.wire.message(frame, None));
        }
        for frame in C::greeting(session).await? {
            frames.extend_from_slice(&self.kind.wire.message(frame, None));
        }
        self.end = page.last;
        self.cursor = Some(match (recovery, self.start.since) {
            (Recovery::Recovered, Some(Ok(since))) => since,
            _ => page.last,
        });
        self.render_all(&page, &mut frames);
        Ok(frames.freeze())
    }

    /// Reads the first page: what follows the client's position or, without that, the newest messages.
    async fn first_page(&self) -> Result<(Recovery, Page), LayerError> {
        let layer = self.node.layer();
        let recovery = match self.start.since {
            None => Recovery::New,
            Some(Err(ParseIdError)) => Recovery::Malformed,
            Some(Ok(since)) => {
                let page = layer.history(&self.group, HistoryRange::After(since)).await?;
                match recovery(since, &page, self.node.config().log_seconds) {
                    Recovery::Recovered => return Ok((Recovery::Recovered, page)),
                    other => other,
                }
            }
        };
        let tail = self.start.history.unwrap_or(if self.start.since.is_some() { TAIL } else { 0 });
        Ok((recovery, layer.history(&self.group, HistoryRange::Before(None, tail)).await?))
    }

    /// Renders a page, or as much of it as goes out at a time: the rest is read again.
    fn render_all(&mut self, page: &Page, frames: &mut BytesMut) {
        for event in &page.events {
            if frames.len() > AT_ONCE {
                return;
            }
            self.render(event, frames);
            self.cursor = event.stamp().map(|stamp| stamp.id).or(self.cursor);
        }
    }

    /// Tells what is redacted of what the socket may have, or as much of it as goes out at a time.
    fn tell_covered(&mut self) -> Option<Bytes> {
        let mut frames = BytesMut::new();
        while frames.len() <= AT_ONCE
            && let Some(id) = self.untold.pop()
        {
            self.render(&Event::redaction(id).into(), &mut frames);
        }
        (!frames.is_empty()).then(|| frames.freeze())
    }

    fn render(&self, event: &Delivery, frames: &mut BytesMut) {
        if let Rendered::Frame(frame) = self.kind.render(event) {
            frames.extend_from_slice(&frame);
        }
    }
}

/// Returns whether the page has everything that follows `since`, or why not.
fn recovery(since: Id, page: &Page, seconds: usize) -> Recovery {
    match page.events.first().and_then(|event| event.stamp()) {
        Some(first) if first.prev == since => Recovery::Recovered,
        Some(first) if first.prev > since => Recovery::Trimmed,
        None if page.last == since => Recovery::Recovered,
        None if page.last == Id::START && is_older(since, seconds) => Recovery::Trimmed,
        _ => Recovery::Unknown,
    }
}

fn is_older(id: Id, seconds: usize) -> bool {
    id.millis().saturating_add(millis(Duration::from_secs(seconds as u64))) < now()
}
