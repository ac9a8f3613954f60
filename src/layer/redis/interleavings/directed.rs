//! Single interleavings, each for one rule of the cursor.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::layer::log::HistoryRange;
use crate::layer::redis::cursor::{CursorState, Sequence};
use crate::layer::redis::history_reading::{HistoryReading, HistoryStep};
use crate::layer::redis::interleavings::{AGE, Message, event};
use crate::layer::redis::log::LogPage;
use crate::wire::event::{Event, Position};
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// No message, and no gap.
const NONE: [u64; 0] = [];

fn at(millis: u64) -> Id {
    Id::START.back(0).next(millis)
}

/// A message with a number, a time, and the time of the message before it or 0.
fn message(number: u64, millis: u64, prev: u64) -> Message {
    let prev = if prev == 0 { Id::START } else { at(prev) };
    Message { number, position: Position { id: at(millis), prev, offset: None } }
}

/// The same in an epoch.
fn in_epoch(epoch: u64, message: Message) -> Message {
    let offset = Some(Offset { epoch, n: message.number.try_into().expect("a number") });
    Message { position: Position { offset, ..message.position }, ..message }
}

/// Returns a cursor at the end of an empty log that was delivered the first message of it.
fn cursor_after(first: Message) -> CursorState {
    let mut cursor = CursorState::default();
    assert!(!cursor.locate(Id::START, BTreeSet::new(), first.position.id.millis(), AGE).1);
    assert_eq!(push(&mut cursor, first), Sequence::Next);
    cursor
}

fn push(cursor: &mut CursorState, message: Message) -> Sequence {
    cursor.on_event(&event(message), message.position.id.millis(), AGE)
}

/// Reads a log until nothing is missing; returns the numbers of what is delivered, 0 for a gap.
fn backfill(cursor: &mut CursorState, log: &[Message], now: u64) -> Vec<u64> {
    let mut delivered = Vec::new();
    loop {
        let asked = cursor.next_page();
        let found = cursor.on_page(asked, page_after(asked.from, log), now, AGE);
        delivered.extend(found.events.iter().map(|event| number_of(event)));
        if found.is_done {
            return delivered;
        }
    }
}

fn page_after(from: Id, log: &[Message]) -> LogPage {
    let events = log.iter().filter(|message| message.position.id > from).map(|message| event(*message));
    let last = log.last().map_or(Id::START, |last| last.position.id);
    LogPage { events: events.collect(), more: false, last }
}

fn number_of(event: &Event) -> u64 {
    event.text("number").map_or(0, |number| number.parse().expect("a number"))
}

#[test]
fn a_known_id_in_another_place_is_of_another_log() {
    let mut cursor = cursor_after(message(1, 5, 0));
    let second = message(2, 6, 5);
    assert_eq!(push(&mut cursor, second), Sequence::Next);
    assert_eq!(push(&mut cursor, second), Sequence::Waits, "it was delivered");
    assert_eq!(push(&mut cursor, message(3, 6, 0)), Sequence::Rewritten(at(6)));
    assert_eq!(push(&mut cursor, message(4, 7, 6)), Sequence::Next);
    // The same after something was missed: the log decides.
    cursor.on_disconnected(7);
    assert_eq!(push(&mut cursor, message(5, 7, 0)), Sequence::Behind);
}

#[test]
fn a_log_lost_while_a_node_was_away_is_reported_also_after_another() {
    for is_located_first in [true, false] {
        let mut cursor = cursor_after(message(1, 5, 0));
        cursor.on_disconnected(6);
        assert!(cursor.locate(Id::START, BTreeSet::new(), 6, AGE).1, "the log was lost");
        assert_eq!(backfill(&mut cursor, &[], 6), [0]);
        // Another log may have been there meanwhile.
        cursor.on_disconnected(7);
        if is_located_first {
            assert!(cursor.locate(Id::START, BTreeSet::new(), 8, AGE).1);
        } else {
            assert_eq!(push(&mut cursor, message(3, 8, 0)), Sequence::Rewritten(at(5)));
            assert!(!cursor.locate(at(8), BTreeSet::new(), 8, AGE).1, "nothing is missing after it");
        }
    }
}

#[test]
fn a_log_lost_before_the_one_that_a_page_is_read_of_is_reported() {
    let mut cursor = cursor_after(message(1, 5, 0));
    cursor.on_disconnected(6);
    assert!(cursor.locate(Id::START, BTreeSet::new(), 6, AGE).1, "the log was lost");
    assert_eq!(backfill(&mut cursor, &[], 6), [0]);
    cursor.on_disconnected(7);
    assert_eq!(push(&mut cursor, message(4, 9, 8)), Sequence::Behind);
    assert_eq!(backfill(&mut cursor, &[message(3, 8, 0), message(4, 9, 8)], 9), [0, 3, 4]);
}

#[test]
fn a_skipped_event_that_the_log_lost_may_be_missing_after_what_it_has() {
    let mut cursor = cursor_after(message(1, 5, 0));
    // Of another log, which then lost its end.
    assert!(cursor.on_skipped(&event(message(3, 7, 6)), 7));
    assert_eq!(backfill(&mut cursor, &[message(2, 6, 0)], 8), [0, 2, 0]);
}

#[test]
fn what_was_pushed_before_a_delivered_message_is_not_delivered_after_it() {
    // The new log's first id is greater, but its push arrives; or the clock was set back.
    for (millis, is_pushed) in [(12, true), (3, false)] {
        let mut cursor = cursor_after(message(1, 10, 0));
        assert!(cursor.on_skipped(&event(message(2, 11, 10)), 11));
        let log = [message(4, millis, 0)];
        assert!(backfill(&mut cursor, &log, 12).starts_with(&[0, 4]));
        assert_eq!(push(&mut cursor, message(3, 13, 11)), Sequence::Behind);
        if is_pushed {
            assert_eq!(push(&mut cursor, log[0]), Sequence::Waits);
        }
        let delivered = backfill(&mut cursor, &log, 13);
        assert!(!delivered.contains(&3), "{delivered:?}");
        assert!(delivered.contains(&0), "its loss is reported");
    }
}

#[test]
fn a_new_log_that_begins_while_a_page_is_read_is_read_from_its_start() {
    let mut cursor = cursor_after(message(1, 10, 0));
    let second = message(2, 11, 10);
    assert!(cursor.on_skipped(&event(second), 11));
    let asked = cursor.next_page();
    let first_of_new = message(3, 4, 0);
    assert_eq!(push(&mut cursor, first_of_new), Sequence::Waits);
    let found = cursor.on_page(asked, page_after(asked.from, &[second]), 11, AGE);
    assert_eq!(found.events.iter().map(|event| number_of(event)).collect::<Vec<_>>(), [2]);
    assert!(!found.is_done);
    assert_eq!(backfill(&mut cursor, &[first_of_new], 11), [0, 3]);
}

#[test]
fn what_a_lost_log_pushed_is_dropped_where_its_place_is_not_known() {
    // The clock was set back: the ids of the new log are smaller.
    let mut cursor = cursor_after(message(1, 10, 0));
    assert!(cursor.on_skipped(&event(message(2, 11, 10)), 11));
    assert_eq!(backfill(&mut cursor, &[], 11), [0]);
    assert_eq!(push(&mut cursor, message(3, 12, 11)), Sequence::Behind);
    assert_eq!(backfill(&mut cursor, &[message(4, 3, 0)], 12), [0, 4]);
    // What follows the last delivered message has a place.
    let mut cursor = cursor_after(message(1, 10, 0));
    assert!(cursor.on_skipped(&event(message(3, 12, 11)), 12));
    assert_eq!(push(&mut cursor, message(2, 11, 10)), Sequence::Waits);
    assert!(backfill(&mut cursor, &[message(4, 3, 0)], 12).starts_with(&[2, 0, 4]));
}

#[test]
fn the_first_message_of_a_log_follows_none() {
    let mut cursor = CursorState::default();
    assert!(!cursor.locate(Id::START, BTreeSet::new(), 5, AGE).1);
    assert_eq!(push(&mut cursor, message(2, 6, 5)), Sequence::Behind);
    assert_eq!(backfill(&mut cursor, &[message(3, 7, 0)], 7), [0, 3], "1 and 2 were of another log");
}

#[test]
fn an_expired_log_is_a_gap_if_the_node_was_away_for_its_age() {
    let expire = |cursor: &mut CursorState, since: u64| {
        cursor.on_disconnected(since);
        assert!(cursor.locate(Id::START, BTreeSet::new(), AGE + 20, AGE).1);
        backfill(cursor, &[], AGE + 20)
    };
    let first = message(1, 5, 0);
    let skips = || {
        let mut cursor = cursor_after(first);
        assert!(cursor.on_skipped(&event(message(2, 6, 5)), 6));
        cursor
    };
    assert_eq!(expire(&mut cursor_after(first), 6), [0]);
    assert_eq!(expire(&mut cursor_after(first), AGE), NONE);
    // It was away before, too.
    let mut cursor = cursor_after(first);
    cursor.on_disconnected(6);
    assert!(!cursor.locate(at(5), BTreeSet::new(), 7, AGE).1);
    assert_eq!(expire(&mut cursor, AGE), NONE);
    // It had skipped something, and read it.
    let mut cursor = skips();
    assert_eq!(backfill(&mut cursor, &[first, message(2, 6, 5)], 7), [2]);
    assert_eq!(expire(&mut cursor, AGE), NONE);
    // It read that while it was away.
    let mut cursor = skips();
    cursor.on_disconnected(6);
    assert_eq!(backfill(&mut cursor, &[first, message(2, 6, 5)], 7), [2]);
    assert_eq!(expire(&mut cursor, AGE), [0]);
    // The log begins again.
    assert_eq!(push(&mut cursor_after(first), message(2, AGE + 6, 0)), Sequence::Next);
    // Before the node has seen that it was empty.
    let begin_again = |since: u64, then: u64| {
        let mut cursor = cursor_after(first);
        cursor.on_disconnected(since);
        assert!(cursor.locate(Id::START, BTreeSet::new(), AGE + 20, AGE).1);
        backfill(&mut cursor, &[message(2, then, 0)], AGE + 20)
    };
    assert_eq!(begin_again(AGE, AGE + 6), [2]);
    assert!(begin_again(6, AGE + 6).contains(&0), "away for the age of the log");
    assert!(begin_again(AGE, AGE + 4).contains(&0), "it had not expired");
}

#[test]
fn a_position_in_the_future_is_for_the_log_to_decide() {
    let mut cursor = cursor_after(message(1, 5, 0));
    let invented = event(message(2, 10 * AGE, 5));
    assert_eq!(cursor.on_event(&invented, 6, AGE), Sequence::Behind);
    assert_eq!(backfill(&mut cursor, &[message(1, 5, 0)], 6), NONE);
    assert_eq!(push(&mut cursor, message(3, 7, 5)), Sequence::Next);
}

#[test]
fn an_invented_position_in_the_past_is_dropped_and_counted() {
    let mut cursor = CursorState::default();
    assert!(!cursor.locate(at(4), BTreeSet::new(), 4, AGE).1);
    assert_eq!(push(&mut cursor, message(1, 6, 4)), Sequence::Next);
    let dropped = |cursor: &mut CursorState, invented: Message| {
        assert_eq!(push(cursor, invented), Sequence::Behind);
        let asked = cursor.next_page();
        let found = cursor.on_page(asked, page_after(asked.from, &[message(1, 6, 4)]), 6, AGE);
        assert!(found.is_done && found.events.is_empty());
        found.dropped
    };
    assert_eq!(dropped(&mut cursor, message(2, 5, 4)), 1);
    assert_eq!(dropped(&mut cursor, message(3, 3, 2)), 0, "from before the subscription");
}

#[test]
fn a_rewritten_log_is_read_from_its_fork_or_from_the_subscription() {
    let subscribed = || {
        let mut cursor = CursorState::default();
        assert!(!cursor.locate(at(10), BTreeSet::new(), 10, AGE).1);
        assert_eq!(push(&mut cursor, message(3, 11, 10)), Sequence::Next);
        cursor.on_disconnected(12);
        cursor
    };
    let read = |log: &[Message]| {
        let mut cursor = subscribed();
        let last = log.last().expect("a message").position.id;
        assert!(cursor.locate(last, BTreeSet::new(), 13, AGE).1);
        backfill(&mut cursor, log, 13)
    };
    assert_eq!(read(&[message(1, 9, 0), message(2, 10, 9), message(4, 12, 10)]), [0, 4]);
    assert_eq!(read(&[message(4, 3, 0)]), [0, 4], "the clock was set back");
    let log = [message(4, 12, 0), message(5, 10 * AGE, 12)];
    assert_eq!(read(&log), [0, 4, 5], "they are far apart");
}

#[test]
fn what_an_ended_epoch_lacks_is_missing_before_the_next_one() {
    // The new server's clock is behind: its ids are smaller than those that were lost.
    let log = [in_epoch(2, message(4, 12, 5)), in_epoch(2, message(5, 13, 12))];
    let lost = in_epoch(1, message(3, 20, 11));
    let mut cursor = cursor_after(in_epoch(1, message(1, 5, 0)));
    assert!(cursor.on_skipped(&event(lost), 20));
    assert_eq!(backfill(&mut cursor, &log, 21), [0, 4, 5]);
    // Without epochs the greater id may be of the log's end.
    let log = [message(4, 12, 5), message(5, 13, 12)];
    let mut cursor = cursor_after(message(1, 5, 0));
    assert!(cursor.on_skipped(&event(message(3, 20, 11)), 20));
    assert_eq!(backfill(&mut cursor, &log, 21), [4, 5, 0]);
}

#[test]
fn a_text_that_arrives_after_its_redaction_is_known_is_not_cached() {
    let mut cursor = CursorState::default();
    assert!(!cursor.locate(Id::START, BTreeSet::from([at(5)]), 4, AGE).1);
    let range = HistoryRange::Before(None, 4);
    let mut reading = HistoryReading::new(range);
    let HistoryStep::Read(_) = reading.next(&mut cursor, Instant::now()) else { panic!("nothing is cached") };
    assert!(reading.on_page(&mut cursor, page_after(Id::START, &[])).is_none());
    assert_eq!(push(&mut cursor, message(1, 5, 0)), Sequence::Next);
    let page = cursor.tail_cache.answer(range, Instant::now()).expect("a cached page");
    assert!(page.events.len() == 1 && page.events[0].is_redacted());
}
