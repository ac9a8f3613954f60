//! What a subscription that catches up has, and what it needs next. Decides only: it reads nothing
//! and sends nothing.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::layer::Page;
use crate::telemetry::GapReason;
use crate::wire::delivery::Delivery;
use crate::wire::event::Position;
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// The progress of one subscription from a position to that of the group's other subscribers.
pub(crate) struct Replay {
    /// The last position that was sent.
    cursor: Id,
    /// The epoch of the event there, if it was sent.
    epoch: Option<u64>,
    /// The client has what is before the first event, and nothing may be missing behind it.
    resumes: bool,
    follows: Follows,
    /// The epoch whose beginning was reported.
    begun: Option<u64>,
    /// The end of the log when it was last read; [`Id::NEVER`] if it has to be read again.
    end: Id,
    /// What was read and not yet sent.
    unsent: VecDeque<Arc<Delivery>>,
    /// The other subscribers are ahead of the cursor.
    is_behind: bool,
    /// The log ends at the cursor, although the others were ahead of it.
    is_lost: bool,
    /// A gap to be sent before anything else.
    gap: Option<(GapReason, Id)>,
}

/// What the next event follows.
#[derive(Clone, Copy)]
enum Follows {
    /// An event that has an offset, or may have one.
    Numbered,
    /// An event of the version before, which has none. The last epoch before it, where it is known.
    Unnumbered(Option<u64>),
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this event.
    Event(Arc<Delivery>),
    /// Report to the client that events after this one may be missing.
    Gap(GapReason, Id),
    /// Read the log after this id.
    Read(Id),
    /// Join the others, who must not be ahead of this id unless the join is forced.
    Join(Id, bool),
}

impl Replay {
    /// Starts after the event before the first one of a page; the log ends with the page or later.
    /// A client that resumes has that event. It `is_numbered` unless it is known to have no offset.
    pub(crate) fn new(after: Option<Id>, is_numbered: bool, page: Page) -> Self {
        let first = page.events.first().and_then(|event| event.position());
        Self {
            cursor: after.or(first.map(|first| first.prev)).unwrap_or(page.last),
            epoch: None,
            resumes: after.is_some(),
            follows: if is_numbered { Follows::Numbered } else { Follows::Unnumbered(None) },
            begun: None,
            end: page.last,
            unsent: page.events.into(),
            is_behind: false,
            is_lost: false,
            gap: None,
        }
    }

    /// Returns what was read and not yet sent.
    pub(crate) fn unsent(&mut self) -> &mut [Arc<Delivery>] {
        self.unsent.make_contiguous()
    }

    /// Returns the epoch of the last event that was sent, if it is where the cursor is.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Returns the next step, and takes it as done if it sends something.
    pub(crate) fn next(&mut self) -> Step {
        if let Some((reason, after)) = self.gap.take() {
            return Step::Gap(reason, after);
        }
        let Some(event) = self.unsent.pop_front() else {
            return if self.is_behind || self.cursor < self.end {
                Step::Read(self.cursor)
            } else {
                Step::Join(self.cursor, self.is_lost)
            };
        };
        let Some(position) = event.position() else { return Step::Event(event) };
        if position.prev != self.cursor {
            // The log was trimmed or rewritten meanwhile.
            let is_trimmed = position.prev > self.cursor;
            let reason = if is_trimmed { GapReason::Trimmed } else { GapReason::Rewritten };
            self.unsent.push_front(event);
            self.follows = Follows::Numbered;
            return Step::Gap(reason, std::mem::replace(&mut self.cursor, position.prev));
        }
        if self.resumes
            && begins_epoch(position)
            && let Some(offset) = position.offset
            && self.may_lack_events_before(offset)
            && self.begun.replace(offset.epoch) != Some(offset.epoch)
        {
            // The log may have lost the last entries of the epoch before.
            self.unsent.push_front(event);
            return Step::Gap(GapReason::Rewritten, self.cursor);
        }
        self.follows = match (position.offset, self.follows) {
            (Some(_), _) => Follows::Numbered,
            (None, Follows::Numbered) => Follows::Unnumbered(self.epoch),
            (None, unnumbered @ Follows::Unnumbered(_)) => unnumbered,
        };
        self.cursor = position.id;
        self.epoch = position.offset.map(|offset| offset.epoch);
        Step::Event(event)
    }

    /// Returns whether events may be missing before one that begins an epoch. After an event of the
    /// version before, which has no offset, every one begins an epoch: events are missing only if
    /// another server appended it than those before, where that is known.
    fn may_lack_events_before(&self, begun: Offset) -> bool {
        match self.follows {
            Follows::Numbered => true,
            Follows::Unnumbered(last) => last.is_some_and(|last| !begun.is_of_server(last)),
        }
    }

    /// The others are ahead of the cursor.
    pub(crate) fn on_behind(&mut self) {
        self.is_behind = true;
    }

    /// The others were sent a gap: the log has to be read again.
    pub(crate) fn on_gap(&mut self) {
        self.end = Id::NEVER;
    }

    /// Takes a page of what follows the cursor.
    pub(crate) fn on_page(&mut self, page: Page) {
        let is_behind = std::mem::take(&mut self.is_behind);
        // An earlier end than before: this node has not received the rest yet, which arrives live.
        self.end = page.last;
        let (is_empty, is_end) = (page.events.is_empty(), page.last == self.cursor);
        self.is_lost = is_empty && is_end && is_behind;
        if self.is_lost || is_empty && !is_end {
            self.gap = Some((GapReason::Rewritten, std::mem::replace(&mut self.cursor, page.last)));
            (self.epoch, self.follows) = (None, Follows::Numbered);
        }
        self.unsent = page.events.into();
    }
}

/// Returns whether an event is the first of an epoch, and not of its log.
pub(crate) fn begins_epoch(position: Position) -> bool {
    position.prev > Id::START && position.offset.is_some_and(|offset| offset.n == NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::event::Event;

    fn id(n: u64) -> Id {
        Id::START.back(0).next(n)
    }

    /// A page of the events with these ids and the ids before them.
    fn page(events: &[(u64, u64)], last: u64) -> Page {
        let events = events.iter().map(|&(at, prev)| event(at, prev, None)).collect();
        Page { events, more: false, last: id(last) }
    }

    fn event(at: u64, prev: u64, offset: Option<Offset>) -> Arc<Delivery> {
        let prev = if prev == 0 { Id::START } else { id(prev) };
        Arc::new(Event::new("a").at_position(Position { id: id(at), prev, offset }).into())
    }

    /// Takes steps up to the first that sends nothing; returns the texts of all.
    fn steps(replay: &mut Replay) -> Vec<String> {
        let mut steps = Vec::new();
        loop {
            let step = replay.next();
            let is_last = matches!(step, Step::Read(_) | Step::Join(..));
            steps.push(match step {
                Step::Event(event) => event.position().unwrap().id.millis().to_string(),
                Step::Gap(reason, after) => format!("{} after {}", reason.as_str(), after.millis()),
                Step::Read(after) => format!("read {}", after.millis()),
                Step::Join(at, is_forced) => {
                    format!("join {}{}", at.millis(), if is_forced { "!" } else { "" })
                }
            });
            if is_last {
                return steps;
            }
        }
    }

    #[test]
    fn what_was_read_is_sent_once_and_then_the_rest_is_read() {
        let mut replay = Replay::new(Some(id(1)), true, page(&[(2, 1), (3, 2)], 5));
        assert_eq!(steps(&mut replay), ["2", "3", "read 3"]);
        replay.on_page(page(&[(4, 3), (5, 4)], 5));
        assert_eq!(steps(&mut replay), ["4", "5", "join 5"]);
        replay.on_behind();
        assert_eq!(steps(&mut replay), ["read 5"]);
        replay.on_page(page(&[(6, 5)], 6));
        assert_eq!(steps(&mut replay), ["6", "join 6"]);
    }

    #[test]
    fn a_hole_is_reported_where_it_is() {
        let mut replay = Replay::new(None, true, page(&[(2, 1), (3, 2)], 9));
        assert_eq!(steps(&mut replay), ["2", "3", "read 3"]);
        replay.on_page(page(&[(7, 6), (9, 8)], 9));
        assert_eq!(steps(&mut replay), ["trimmed after 3", "7", "trimmed after 7", "9", "join 9"]);
        replay.on_behind();
        replay.on_page(page(&[(10, 0)], 10));
        assert_eq!(steps(&mut replay), ["rewritten after 9", "10", "join 10"]);
    }

    #[test]
    fn a_client_that_resumes_is_informed_where_an_epoch_begins() {
        let offset = |epoch, n: u64| Some(Offset { epoch, n: n.try_into().unwrap() });
        let events = || vec![event(4, 3, offset(1, 4)), event(5, 4, offset(2, 1)), event(6, 5, offset(2, 2))];
        let mut replay = Replay::new(Some(id(3)), true, Page { events: events(), more: false, last: id(6) });
        assert_eq!(steps(&mut replay), ["4", "rewritten after 4", "5", "6", "join 6"]);
        let mut replay = Replay::new(None, true, Page { events: events(), more: false, last: id(6) });
        assert_eq!(steps(&mut replay), ["4", "5", "6", "join 6"], "the client had nothing");
        let first = vec![event(1, 0, offset(1, 1))];
        let mut replay = Replay::new(Some(Id::START), true, Page { events: first, more: false, last: id(1) });
        assert_eq!(steps(&mut replay), ["1", "join 1"], "the log begins");
    }

    #[test]
    fn an_epoch_behind_an_event_of_the_version_before_is_no_gap() {
        let offset = |server: u64, n: u64| Some(Offset { epoch: server << 32 | 7, n: n.try_into().unwrap() });
        let page = |events| Page { events, more: false, last: id(6) };
        let begun = || vec![event(5, 4, offset(1, 1)), event(6, 5, offset(1, 2))];
        let mut replay = Replay::new(Some(id(4)), false, page(begun()));
        assert_eq!(steps(&mut replay), ["5", "6", "join 6"], "the client has one of these");
        for (server, expected) in [
            (1, vec!["3", "4", "5", "6", "join 6"]),
            (2, vec!["3", "4", "rewritten after 4", "5", "6", "join 6"]),
        ] {
            let before = vec![event(3, 2, offset(server, 9)), event(4, 3, None)];
            let mut replay = Replay::new(Some(id(2)), true, page([before, begun()].concat()));
            assert_eq!(steps(&mut replay), expected);
        }
    }

    #[test]
    fn a_log_that_ends_before_the_cursor_is_lost_or_not_read_yet() {
        let mut replay = Replay::new(Some(id(3)), true, page(&[], 5));
        assert_eq!(steps(&mut replay), ["read 3"]);
        replay.on_page(page(&[], 3));
        assert_eq!(steps(&mut replay), ["join 3"], "the node hears of 5 later");
        replay.on_behind();
        replay.on_page(page(&[], 3));
        assert_eq!(steps(&mut replay), ["rewritten after 3", "join 3!"], "the others had more");
        let mut replay = Replay::new(Some(id(3)), true, page(&[], 5));
        replay.on_page(page(&[], 1));
        assert_eq!(steps(&mut replay), ["rewritten after 3", "join 1"], "the others may have more");
    }

    #[test]
    fn a_log_that_goes_on_after_its_loss_is_read_up_to_the_others() {
        let mut replay = Replay::new(Some(id(3)), true, page(&[], 3));
        replay.on_behind();
        replay.on_page(page(&[], 3));
        assert_eq!(steps(&mut replay), ["rewritten after 3", "join 3!"]);
        replay.on_gap();
        assert_eq!(steps(&mut replay), ["read 3"]);
        replay.on_page(page(&[(4, 3)], 4));
        assert_eq!(steps(&mut replay), ["4", "join 4"]);
    }
}
