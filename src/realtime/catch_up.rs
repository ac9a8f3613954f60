//! Catch-up: brings a socket to its group's current position. It misses nothing without a gap;
//! after one, a message may come again.
//!
//! The log is the buffer. A socket registers in the hub first, where it receives nothing yet. It
//! reads the log page by page, at its own pace, until it reaches the position of the group's other
//! sockets, and joins them there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::http::context::Context;
use crate::layer::LayerError;
use crate::layer::{Broker, Control, HistoryRange, Layer, Page, Presence, PresenceSnapshot};
use crate::realtime::command::StreamPosition;
use crate::realtime::fanout::messages_missing;
use crate::realtime::feed;
use crate::realtime::feed::Feed;
use crate::realtime::log_position;
use crate::realtime::log_position::Located;
use crate::realtime::renderer::Rendered;
use crate::realtime::replay::{Replay, Step, begins_epoch};
use crate::realtime::runtime::Realtime;
use crate::realtime::start_position::StartPosition;
use crate::realtime::subscribers::{Behind, Cursor};
use crate::realtime::subscription::{JoinedBy, ListedConnection, Subscription};
use crate::realtime::welcome::Welcome;
use crate::telemetry::{METRICS, Recovery};
use crate::wire::close::{Close, CloseCode};
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP};
use crate::wire::group::Group;
use crate::wire::id::{Id, ParseIdError};
use crate::wire::time::{millis, now};

/// Messages sent to a client that cannot resume and names no `history`.
const DEFAULT_HISTORY_MESSAGES: usize = 50;
/// The bytes from which on no older page is added to what `history` asks for.
const MAX_HISTORY_BYTES: usize = 256 * 1024;
/// The approximate size of one batch of frames from the log, in bytes.
const MAX_BATCH_BYTES: usize = 128 * 1024;

/// The progress of one socket.
pub(crate) struct CatchUp {
    realtime: Arc<Realtime>,
    start: StartPosition,
    /// What the socket receives.
    feed: Arc<Feed>,
    /// What was read and is not yet sent; `None` before the welcome.
    replay: Option<Replay>,
    /// The greeting was sent, if there is one.
    has_greeted: bool,
    /// The socket has joined the other sockets of the group, or never will.
    joined: bool,
    /// The join has failed: not all messages follow.
    is_refused: bool,
    /// The redactions known before the log was read.
    redacted: BTreeSet<Id>,
    /// Redacted events that the socket may still show; a redaction is sent for each.
    pending_redactions: Vec<Id>,
    /// The members of the group as the socket knows them.
    presence: PresenceSnapshot,
    /// The other connections in its list as the socket knows them; `None` once it has joined those
    /// that receive their joins and leaves, or never will.
    connections: Option<PresenceSnapshot>,
}

impl CatchUp {
    /// Returns the catch-up of a subscription to a feed from its start. Boxed: it is dropped once
    /// it is done.
    pub(crate) fn new(realtime: &Arc<Realtime>, feed: Arc<Feed>, start: StartPosition) -> Box<Self> {
        Box::new(Self {
            realtime: Arc::clone(realtime),
            start,
            feed,
            replay: None,
            has_greeted: false,
            joined: false,
            is_refused: false,
            redacted: BTreeSet::new(),
            pending_redactions: Vec::new(),
            presence: PresenceSnapshot::default(),
            connections: None,
        })
    }

    /// Returns the next frames for the socket; `None` once it has joined the other sockets.
    /// `listing` adds the connection to its list before the welcome.
    pub(crate) async fn next(
        &mut self,
        subscription: &Subscription,
        listing: impl Future<Output = Result<(), LayerError>>,
    ) -> Result<Option<Bytes>, LayerError> {
        let realtime = Arc::clone(&self.realtime);
        let (layer, group) = (realtime.context().layer(), subscription.group());
        layer.in_line().await?;
        loop {
            if subscription.has_ended() {
                return Ok(None);
            }
            if let Some(frames) = self.render_redactions() {
                return Ok(Some(frames));
            }
            if self.joined {
                return self.join_connections(subscription).await;
            }
            if !self.has_greeted {
                return self.open(subscription, listing).await.map(Some);
            }
            let Some(replay) = &mut self.replay else { return Ok(None) };
            let mut frames = BytesMut::new();
            match render_all(layer, &self.feed, replay, &mut frames) {
                Progress::Ended => {
                    self.end(subscription);
                    return Ok(Some(frames.freeze()));
                }
                _ if !frames.is_empty() => return Ok(Some(frames.freeze())),
                Progress::Next(Step::Read(cursor)) => {
                    replay.on_page(layer.history(group, HistoryRange::After(cursor)).await?);
                }
                Progress::Next(Step::Join(cursor, is_forced)) => {
                    // Changes of presence during the catch-up went to the other sockets only.
                    let presence = layer.presence(group).await?;
                    if let Some(frames) =
                        render_presence(subscription, &self.feed, &mut self.presence, presence)
                    {
                        return Ok(Some(frames));
                    }
                    let cursor =
                        Cursor { id: cursor, epoch: replay.epoch(), presence: self.presence.version };
                    match realtime.hub().join(subscription, cursor, is_forced) {
                        Ok(()) => {}
                        Err(Behind::Log) => {
                            replay.on_behind();
                            continue;
                        }
                        Err(Behind::Gap) => {
                            replay.on_gap();
                            continue;
                        }
                        Err(Behind::Presence) => continue,
                    }
                    self.joined = true;
                    // As did redactions.
                    let redacted = layer.redacted(group);
                    self.pending_redactions = redacted.difference(&self.redacted).copied().collect();
                }
                _ => {}
            }
        }
    }

    /// Returns how the list of connections differs from what the socket knows; `None` once it has
    /// joined the sockets that receive joins and leaves of the list.
    async fn join_connections(&mut self, subscription: &Subscription) -> Result<Option<Bytes>, LayerError> {
        let Some(ListedConnection { group, feed: Some((feed, key)), .. }) = subscription.listed() else {
            return Ok(None);
        };
        while let Some(known) = &mut self.connections {
            let connections = self.realtime.context().layer().presence(group).await?;
            if subscription.has_ended() {
                return Ok(None); // its key may be another one's
            }
            let mut frames = BytesMut::new();
            for event in connections.each_change_since(known).unwrap_or_default() {
                render(feed, &event.into(), &mut frames);
            }
            *known = connections;
            if !frames.is_empty() {
                return Ok(Some(frames.freeze()));
            }
            let cursor = Cursor { id: Id::START, epoch: None, presence: known.version };
            if self.realtime.hub().join_subscriber(feed, *key, cursor, true).is_ok() {
                self.connections = None;
            }
        }
        Ok(None)
    }

    /// Returns the client's number of the join.
    pub(crate) fn number(&self) -> u32 {
        self.start.number
    }

    /// Returns whether the join has failed, which the last frame said.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Reads what the welcome says. What was missed begins where it says that the log ends.
    /// `listing` adds the connection to its list, unless the join has failed.
    pub(crate) async fn welcome(
        &mut self,
        subscription: &Subscription,
        listing: impl Future<Output = Result<(), LayerError>>,
    ) -> Result<Welcome, LayerError> {
        let (context, group) = (Arc::clone(self.realtime.context()), subscription.group());
        self.redacted = context.layer().redacted(group);
        if let Some(Ok(since)) = self.start.since {
            self.pending_redactions = self.redacted.range(..=since).copied().collect();
        }
        let (recovery, page, end) = self.first_page(&context, group).await?;
        METRICS.resumed(recovery);
        self.is_refused = self.start.requires_recovery && recovery != Recovery::Recovered;
        if !self.is_refused && !subscription.has_ended() {
            listing.await?;
        }
        let presence = with_member(context.layer().presence(group).await?, subscription);
        self.presence = presence.clone();
        self.connections = others_listed(context.layer(), subscription).await?;
        let since = self.start.since.and_then(Result::ok);
        let since = since.filter(|_| recovery == Recovery::Recovered);
        let last = page.last;
        let is_numbered = follows_numbered(context.layer(), group, &page).await?;
        self.replay = Some(Replay::new(since, is_numbered, page));
        Ok(Welcome {
            number: self.start.number,
            since: self.start.offset,
            end,
            is_refused: self.is_refused,
            node: context.name().to_owned(),
            last,
            recovery,
            is_private: subscription.is_private(),
            expires_in: subscription.expires_in(),
            presence,
        })
    }

    /// Returns the welcome, unless it was read before, the greeting and the first page.
    async fn open(
        &mut self,
        subscription: &Subscription,
        listing: impl Future<Output = Result<(), LayerError>>,
    ) -> Result<Bytes, LayerError> {
        let mut frames = BytesMut::new();
        if self.replay.is_none() {
            let (identity, welcome) =
                (subscription.socket().identity(), self.welcome(subscription, listing).await?);
            let frame = self.feed.renderer.welcome(&self.feed.name, identity, &welcome);
            frames.extend_from_slice(&frame.unwrap_or_default());
        }
        self.has_greeted = true;
        if self.is_refused {
            (self.joined, self.connections) = (true, None);
            return Ok(frames.freeze());
        }
        let context = self.realtime.context();
        for event in subscription.entrance().greeting(subscription.client(context)).await? {
            render(&self.feed, &event.into(), &mut frames);
        }
        let Some(replay) = &mut self.replay else { return Ok(frames.freeze()) };
        if let Progress::Ended = render_all(context.layer(), &self.feed, replay, &mut frames) {
            self.end(subscription);
        }
        Ok(frames.freeze())
    }

    /// Sends no more: the client joins again where it was.
    fn end(&mut self, subscription: &Subscription) {
        (self.joined, self.connections) = (true, None);
        self.realtime.hub().silence(subscription);
        if subscription.joined_by() == JoinedBy::Server {
            subscription.socket().close(&messages_missing());
        }
    }

    /// Reads the first page: what follows the client's position or, without that, the newest
    /// messages.
    async fn first_page(
        &mut self,
        context: &Context,
        group: &Group,
    ) -> Result<(Recovery, Page, StreamPosition), LayerError> {
        let layer = context.layer();
        if let Some(position) = self.start.offset {
            let located = log_position::locate(layer, group, position, self.feed.kept).await?;
            if let Some(Located { id, epoch }) = located {
                let page = layer.history(group, HistoryRange::Since(id)).await?;
                if recovery(id, &page, context.config().log_seconds) == Recovery::Recovered {
                    self.start.since = Some(Ok(id));
                    let end = StreamPosition { epoch: Some(epoch), ..position };
                    return Ok((Recovery::Recovered, page, end));
                }
            }
            let (page, end) = end_of_log(layer, group).await?;
            return Ok((Recovery::Unknown, page, end));
        }
        let recovery = match self.start.since {
            None => Recovery::New,
            Some(Err(ParseIdError)) => Recovery::Malformed,
            Some(Ok(since)) => {
                let page = layer.history(group, HistoryRange::Since(since)).await?;
                match recovery(since, &page, context.config().log_seconds) {
                    Recovery::Recovered => return Ok((Recovery::Recovered, page, StreamPosition::default())),
                    other => other,
                }
            }
        };
        let tail = self.start.history.unwrap_or(if self.start.since.is_some() {
            DEFAULT_HISTORY_MESSAGES
        } else {
            0
        });
        if self.feed.renderer.numbers && tail == 0 {
            let (page, end) = end_of_log(layer, group).await?;
            return Ok((recovery, page, end));
        }
        Ok((recovery, newest(context, group, tail).await?, StreamPosition::default()))
    }

    /// Renders the pending redactions, up to [`MAX_BATCH_BYTES`] at a time.
    fn render_redactions(&mut self) -> Option<Bytes> {
        let mut frames = BytesMut::new();
        while frames.len() <= MAX_BATCH_BYTES
            && let Some(id) = self.pending_redactions.pop()
        {
            render(&self.feed, &Event::redaction(id).into(), &mut frames);
        }
        (!frames.is_empty()).then(|| frames.freeze())
    }
}

/// Returns the other connections in the list that the socket is in, if it receives their joins and
/// leaves. It receives its own join after its welcome.
async fn others_listed(
    layer: &Layer,
    subscription: &Subscription,
) -> Result<Option<PresenceSnapshot>, LayerError> {
    let Some(ListedConnection { group, member, feed: Some(_) }) = subscription.listed() else {
        return Ok(None);
    };
    Ok(Some(layer.presence(group).await?.without(member)))
}

/// Returns whether the event before the first one of a page has an offset, or may have one. It is
/// read only where the first one begins an epoch.
async fn follows_numbered(layer: &Layer, group: &Group, page: &Page) -> Result<bool, LayerError> {
    let first = page.events.first().and_then(|event| event.position());
    let Some(first) = first.filter(|first| begins_epoch(*first)) else { return Ok(true) };
    let before = layer.history(group, HistoryRange::Before(Some(first.id), 1)).await?;
    let before = before.events.last().and_then(|event| event.position());
    Ok(before.is_none_or(|before| before.id != first.prev || before.offset.is_some()))
}

/// Reads where a log ends, by id and by number.
async fn end_of_log(layer: &Layer, group: &Group) -> Result<(Page, StreamPosition), LayerError> {
    let mut page = layer.history(group, HistoryRange::Before(None, 1)).await?;
    let end = log_position::end(layer, group, &page).await?;
    page.events.clear();
    Ok((page, end))
}

/// Reads the newest messages, as many as were asked for or fit into [`MAX_HISTORY_BYTES`].
async fn newest(context: &Context, group: &Group, limit: usize) -> Result<Page, LayerError> {
    let layer = context.layer();
    let mut all = layer.history(group, HistoryRange::Before(None, limit)).await?;
    let bytes = |page: &Page| page.events.iter().map(|event| event.bytes()).sum::<usize>();
    while all.more
        && all.events.len() < limit
        && bytes(&all) < MAX_HISTORY_BYTES
        && let Some(first) = all.events.first().and_then(|event| event.position())
    {
        let range = HistoryRange::Before(Some(first.id), limit - all.events.len());
        let mut older = layer.history(group, range).await?;
        if older.events.last().and_then(|event| event.position()).is_none_or(|last| last.id != first.prev) {
            break; // the log was trimmed meanwhile
        }
        older.events.append(&mut all.events);
        all = Page { last: all.last, ..older };
    }
    Ok(all)
}

/// How far what was read is rendered.
enum Progress {
    /// To the first step that sends nothing.
    Next(Step),
    /// To [`MAX_BATCH_BYTES`].
    Full,
    /// To a gap that ends the feed.
    Ended,
}

/// Renders what was read and not yet sent.
fn render_all(layer: &Layer, feed: &Feed, replay: &mut Replay, frames: &mut BytesMut) -> Progress {
    layer.redact_texts(&feed.group, replay.unsent());
    while frames.len() <= MAX_BATCH_BYTES {
        match replay.next() {
            Step::Event(event) => render(feed, &event, frames),
            Step::Gap(reason, after) => {
                METRICS.gap(reason);
                let gap = Event::new(GAP).with("reason", reason.as_str()).with("after", &after.to_string());
                render(feed, &gap.into(), frames);
                if feed.renderer.gap_ends {
                    return Progress::Ended;
                }
            }
            step => return Progress::Next(step),
        }
    }
    Progress::Full
}

/// Renders how the presence differs from what the socket knows; `None` if it does not.
fn render_presence(
    subscription: &Subscription,
    feed: &Feed,
    known: &mut PresenceSnapshot,
    presence: PresenceSnapshot,
) -> Option<Bytes> {
    let before = std::mem::replace(known, with_member(presence, subscription));
    let mut frames = BytesMut::new();
    for event in known.changes_since(&before) {
        render(feed, &event.into(), &mut frames);
    }
    (!frames.is_empty()).then(|| frames.freeze())
}

/// Adds the socket's own user, whose join or new name may still be on its way to this node.
fn with_member(mut presence: PresenceSnapshot, subscription: &Subscription) -> PresenceSnapshot {
    if let Some(own) = subscription.member() {
        presence.insert(own);
    }
    presence
}

/// Appends the frame of an event, if the socket receives one.
fn render(feed: &Feed, event: &Delivery, frames: &mut BytesMut) {
    match feed.render(event) {
        Rendered::Frame(frame) => frames.extend_from_slice(&frame),
        Rendered::Omitted | Rendered::Unlisted => {}
        Rendered::Failed => feed::count_failure(feed, event),
    }
}

/// Returns whether the page has everything that follows `since`, or why not.
fn recovery(since: Id, page: &Page, seconds: usize) -> Recovery {
    match page.events.first().and_then(|event| event.position()) {
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

/// Returns how to close a socket whose group's log cannot be read.
pub(crate) fn log_unreadable(error: &LayerError) -> Close {
    error.record();
    if error.is_retryable() {
        Close::new(CloseCode::TryAgainLater, "the log cannot be read: try again later")
    } else {
        Close::new(CloseCode::InternalError, "the log is corrupt")
    }
}
