//! Catch-up: brings a socket to its group's current position, without gaps or duplicates.
//!
//! The log is the buffer. A socket registers in the hub first, where it receives nothing yet. It
//! reads the log page by page, at its own pace, until it reaches the position of the group's other
//! sockets, and joins them there.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::http::context::Context;
use crate::layer::LayerError;
use crate::layer::{Broker, Control, HistoryRange, MAX_LISTED_MEMBERS, Page, Presence};
use crate::realtime::channel::Channel;
use crate::realtime::protocol::Protocol;
use crate::realtime::registration::Registration;
use crate::realtime::renderer;
use crate::realtime::renderer::{Rendered, Renderer};
use crate::realtime::start_position::StartPosition;
use crate::realtime::welcome::Welcome;
use crate::telemetry::{GapReason, METRICS, Recovery};
use crate::wire::close::{Close, CloseCode};
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP};
use crate::wire::group::Group;
use crate::wire::id::{Id, ParseIdError};
use crate::wire::time::{millis, now};

/// Messages sent to a client that cannot resume and names no `history`.
const DEFAULT_HISTORY_MESSAGES: usize = 50;
/// The approximate size of one batch of frames from the log, in bytes.
const MAX_BATCH_BYTES: usize = 128 * 1024;

/// The progress of one socket.
pub(crate) struct CatchUp {
    start: StartPosition,
    /// The last position sent to the socket; `None` before its welcome.
    cursor: Option<Id>,
    /// The end of the log when the socket opened.
    end: Id,
    /// The log ends at `cursor`, although the other sockets were ahead of it.
    lost: bool,
    /// The socket has joined the other sockets of the group.
    joined: bool,
    /// The redactions known before the log was read.
    redacted: BTreeSet<Id>,
    /// Redacted events that the socket may still show; a redaction is sent for each.
    pending_redactions: Vec<Id>,
}

impl CatchUp {
    /// Returns the catch-up of a socket that resumes; `None` for other sockets.
    pub(crate) fn new(registration: &Registration) -> Option<Self> {
        Some(Self {
            start: registration.subscription().start()?,
            cursor: None,
            end: Id::START,
            lost: false,
            joined: false,
            redacted: BTreeSet::new(),
            pending_redactions: Vec::new(),
        })
    }

    /// Returns the next frames for the socket; `None` once it has joined the other sockets.
    pub(crate) async fn next<C: Channel, P: Protocol>(
        &mut self,
        registration: &Registration,
    ) -> Result<Option<Bytes>, LayerError> {
        let (layer, group) = (registration.context().layer(), registration.subscription().group());
        let renderer = registration.socket().renderer();
        layer.in_line().await?;
        loop {
            if let Some(frames) = self.render_redactions(renderer) {
                return Ok(Some(frames));
            }
            if self.joined {
                return Ok(None);
            }
            let Some(cursor) = self.cursor else {
                return self.open::<C, P>(registration).await.map(Some);
            };
            let position = if cursor < self.end {
                self.end
            } else {
                let Err(position) = registration.join(cursor, self.lost) else {
                    self.joined = true;
                    // Redactions published during the catch-up went to the other sockets only.
                    let redacted = layer.redacted(group);
                    self.pending_redactions = redacted.difference(&self.redacted).copied().collect();
                    continue;
                };
                position
            };
            let page = layer.history(group, HistoryRange::After(cursor)).await?;
            let mut frames = BytesMut::new();
            match page.events.first().and_then(|event| event.position()) {
                Some(first) if first.prev == cursor => {}
                // This node has not received the end of the log yet: the remaining events arrive
                // live.
                None if self.end > cursor && page.last == cursor => {
                    self.end = cursor;
                    continue;
                }
                first => {
                    // The log was trimmed or rewritten during the catch-up.
                    let trimmed = first.is_some_and(|first| first.prev > cursor);
                    let reason = if trimmed { GapReason::Trimmed } else { GapReason::Rewritten };
                    METRICS.gap(reason);
                    let gap =
                        Event::new(GAP).with("reason", reason.as_str()).with("after", &cursor.to_string());
                    render(renderer, &gap.into(), &mut frames);
                    // In a rewritten log the earlier position of the other sockets means nothing.
                    self.lost = page.events.is_empty();
                    self.cursor = Some(if self.lost { page.last } else { position });
                    self.end = Id::START;
                }
            }
            self.render_all(renderer, &page, &mut frames);
            return Ok(Some(frames.freeze()));
        }
    }

    /// Returns the welcome, the greeting and the first page.
    async fn open<C: Channel, P: Protocol>(
        &mut self,
        registration: &Registration,
    ) -> Result<Bytes, LayerError> {
        let (context, socket) = (registration.context(), registration.socket());
        let (identity, renderer) = (socket.identity(), socket.renderer());
        let group = registration.subscription().group();
        self.redacted = context.layer().redacted(group);
        if let Some(Ok(since)) = self.start.since {
            self.pending_redactions = self.redacted.range(..=since).copied().collect();
        }
        let (recovery, page) = self.first_page(context, group).await?;
        METRICS.resumed(recovery);
        let mut presence = context.layer().presence(group).await?;
        if let Some(members) = &mut presence.members
            && !members.iter().any(|member| **member == **identity.member())
        {
            members.push(identity.member().to_string());
            presence.count += 1;
        }
        presence.members = presence.members.filter(|members| members.len() <= MAX_LISTED_MEMBERS);
        let welcome = Welcome {
            node: context.name().to_owned(),
            last: page.last,
            recovery,
            is_private: registration.subscription().is_private(),
            presence,
        };
        let mut frames = BytesMut::new();
        if let Some(frame) = P::welcome(registration.subscription().name(), identity, &welcome) {
            frames.extend_from_slice(&renderer.transport.message(frame, None));
        }
        for event in C::greeting(registration.client()).await? {
            render(renderer, &event.into(), &mut frames);
        }
        self.end = page.last;
        self.cursor = Some(match (recovery, self.start.since) {
            (Recovery::Recovered, Some(Ok(since))) => since,
            _ => page.last,
        });
        self.render_all(renderer, &page, &mut frames);
        Ok(frames.freeze())
    }

    /// Reads the first page: what follows the client's position or, without that, the newest
    /// messages.
    async fn first_page(&self, context: &Context, group: &Group) -> Result<(Recovery, Page), LayerError> {
        let layer = context.layer();
        let recovery = match self.start.since {
            None => Recovery::New,
            Some(Err(ParseIdError)) => Recovery::Malformed,
            Some(Ok(since)) => {
                let page = layer.history(group, HistoryRange::After(since)).await?;
                match recovery(since, &page, context.config().log_seconds) {
                    Recovery::Recovered => return Ok((Recovery::Recovered, page)),
                    other => other,
                }
            }
        };
        let tail = self.start.history.unwrap_or(if self.start.since.is_some() {
            DEFAULT_HISTORY_MESSAGES
        } else {
            0
        });
        Ok((recovery, layer.history(group, HistoryRange::Before(None, tail)).await?))
    }

    /// Renders a page up to [`MAX_BATCH_BYTES`]; the remainder is read again.
    fn render_all(&mut self, renderer: Renderer, page: &Page, frames: &mut BytesMut) {
        for event in &page.events {
            if frames.len() > MAX_BATCH_BYTES {
                return;
            }
            render(renderer, event, frames);
            self.cursor = event.position().map(|stamp| stamp.id).or(self.cursor);
        }
    }

    /// Renders the pending redactions, up to [`MAX_BATCH_BYTES`] at a time.
    fn render_redactions(&mut self, renderer: Renderer) -> Option<Bytes> {
        let mut frames = BytesMut::new();
        while frames.len() <= MAX_BATCH_BYTES
            && let Some(id) = self.pending_redactions.pop()
        {
            render(renderer, &Event::redaction(id).into(), &mut frames);
        }
        (!frames.is_empty()).then(|| frames.freeze())
    }
}

/// Appends the frame of an event, if the socket receives one.
fn render(renderer: Renderer, event: &Delivery, frames: &mut BytesMut) {
    match renderer.render(event) {
        Rendered::Frame(frame) => frames.extend_from_slice(&frame),
        Rendered::Omitted | Rendered::Unlisted => {}
        Rendered::Failed => renderer::count_failure(event),
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
    if error.is_retryable() {
        Close::new(CloseCode::TryAgainLater, "the log cannot be read: try again later")
    } else {
        Close::new(CloseCode::InternalError, "the log is corrupt")
    }
}
