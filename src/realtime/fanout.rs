//! Fan-out: delivers a batch of events to every socket of a group.
//!
//! This is the fast path: work that is needed once happens before its loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tracing::debug;

use crate::realtime::feed;
use crate::realtime::feed::Feed;
use crate::realtime::renderer::Rendered;
use crate::realtime::subscribers;
use crate::realtime::subscribers::{Subscriber, SubscriberRow};
use crate::telemetry::{DropReason, METRICS};
use crate::wire::close::{Close, CloseCode};
use crate::wire::delivery::Delivery;
use crate::wire::id::Id;

/// Returns how to close a socket whose client cannot join a channel again by itself.
pub(crate) fn messages_missing() -> Close {
    Close::new(CloseCode::ServiceRestart, "messages may be missing: connect again")
}

pub(crate) struct Fanout {
    /// The frames of each feed; the last batch is delivered next.
    batches: Vec<(Arc<Feed>, Batch)>,
    /// The slot of the next socket in its row.
    next: usize,
}

/// Events, rendered for one feed.
struct Batch {
    each: Vec<BatchFrame>,
    /// All frames, concatenated.
    all: Bytes,
    /// The smallest of the ids; [`Id::NEVER`] if there is none.
    least: Id,
    /// The smallest of the presence versions; the greatest number if there is none.
    least_presence: u64,
    /// It ends in a gap that ends its feed, for sockets that joined before this number of gaps.
    ends: Option<u32>,
}

/// A frame, with what decides which sockets have it already.
struct BatchFrame {
    /// The id of a logged event.
    id: Option<Id>,
    /// The version of a presence event.
    presence: Option<u64>,
    frame: Bytes,
}

impl Fanout {
    /// Renders events for these feeds.
    pub(crate) fn new<'a>(
        feeds: impl Iterator<Item = &'a Arc<Feed>>,
        events: &[Arc<Delivery>],
        gaps: u32,
    ) -> Self {
        let mut listed = vec![false; events.len()];
        let mut feeds = feeds.peekable();
        let group = feeds.peek().copied().map(|feed| feed.group.name());
        let batches = feeds.map(|feed| (Arc::clone(feed), Batch::render(feed, events, gaps, &mut listed)));
        let batches = batches.filter(|(_, batch)| !batch.each.is_empty()).collect();
        for (event, _) in events.iter().zip(listed).filter(|(event, listed)| !listed && !event.is_own()) {
            METRICS.dropped(DropReason::UnknownType);
            debug!(group, kind = event.kind(), "dropped an event that no channel lists");
        }
        Self { batches, next: 0 }
    }

    /// Writes to at most `left` sockets, subtracts them, and counts the frames in `delivered`.
    /// Returns whether every socket was reached.
    pub(crate) fn send(&mut self, rows: &[SubscriberRow], left: &mut usize, delivered: &AtomicU64) -> bool {
        while let Some((feed, batch)) = self.batches.last() {
            if let Some(row) = rows.iter().find(|row| row.feed == *feed) {
                let before = *left;
                while *left > 0 && self.next < row.sockets.capacity() {
                    if let Some(subscriber) = row.sockets.get(self.next) {
                        batch.send(subscriber);
                        *left -= 1;
                    }
                    self.next += 1;
                }
                let count = ((before - *left) * batch.each.len()) as u64;
                METRICS.delivered.inc_by(count);
                delivered.fetch_add(count, Ordering::Relaxed);
                if self.next < row.sockets.capacity() {
                    return false;
                }
            }
            self.batches.pop();
            self.next = 0;
        }
        true
    }
}

impl Batch {
    /// Renders the events that the channel lists, and marks them as listed.
    fn render(feed: &Feed, events: &[Arc<Delivery>], gaps: u32, listed: &mut [bool]) -> Self {
        let mut each = Vec::with_capacity(events.len());
        let mut ends = None;
        for (index, event) in events.iter().enumerate() {
            match feed.render(event) {
                Rendered::Unlisted => continue,
                Rendered::Omitted => {}
                Rendered::Frame(frame) => each.push(BatchFrame {
                    id: event.position().map(|stamp| stamp.id),
                    presence: event.presence_version(),
                    frame,
                }),
                Rendered::Failed => feed::count_failure(feed, event),
            }
            listed[index] = true;
            if feed.renderer.gap_ends && subscribers::is_gap(event) {
                ends = Some(gaps);
                listed[index..].fill(true); // the channel may list them
                break;
            }
        }
        let all = match each.as_slice() {
            [only] => only.frame.clone(),
            several => {
                let mut joined = BytesMut::with_capacity(several.iter().map(|each| each.frame.len()).sum());
                for each in several {
                    joined.extend_from_slice(&each.frame);
                }
                joined.freeze()
            }
        };
        let least = each.iter().filter_map(|each| each.id).min().unwrap_or(Id::NEVER);
        let least_presence = each.iter().filter_map(|each| each.presence).min().unwrap_or(u64::MAX);
        Self { each, all, least, least_presence, ends }
    }

    fn send(&self, subscriber: &Subscriber) {
        if let Some(gaps) = self.ends {
            if gaps == subscriber.gaps {
                return; // it joined behind the gap
            }
            if subscriber.is_of_server && subscriber.from != Id::NEVER {
                return subscriber.socket.close(&messages_missing());
            }
        }
        if subscriber.from < self.least && subscriber.presence < self.least_presence {
            subscriber.socket.send(&self.all);
        } else if subscriber.from != Id::NEVER {
            // The socket has some of the events already, from its catch-up.
            let is_new = |each: &&BatchFrame| {
                each.id.is_none_or(|id| id > subscriber.from)
                    && each.presence.is_none_or(|version| version > subscriber.presence)
            };
            for each in self.each.iter().filter(is_new) {
                subscriber.socket.send(&each.frame);
            }
        }
    }
}
