//! Every client sees the messages of a room in one order, which is that of their ids and of time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::index::{Receipt, Receiver, RecordIndex};
use super::position::Position;
use super::{Finding, Verdict};

/// Pairs of messages in the wrong order, each pair once.
pub fn reordered(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = BTreeMap::new();
    let mut find = |room: usize, one: Receipt<'_>, other: Receipt<'_>, detail: String| {
        let pair = (room, one.id.min(other.id).to_owned(), one.id.max(other.id).to_owned());
        findings.entry(pair).or_insert_with(|| Finding::new(Verdict::Reordered, other.at, detail));
    };
    let places: Vec<_> = index.receivers.iter().map(places_of).collect();
    for (who, receiver) in index.receivers.iter().enumerate() {
        let room = index.room_of(who);
        for (other, _) in index.receivers_in(room).filter(|(other, _)| *other > who) {
            for (first, second) in descents(receiver, &places[other]) {
                let detail = format!(
                    "client {who} of room {room} received {} before {}, client {other} the other way",
                    first.id, second.id
                );
                find(room, first, second, detail);
            }
        }
        for (first, second) in against_ids(receiver) {
            let detail = format!("client {who} of room {room} received {} before {}", first.id, second.id);
            find(room, first, second, detail);
        }
        for (first, second) in against_time(index, receiver) {
            let detail = format!(
                "client {who} of room {room} received {:.60?} before {:.60?}, which was in the log before \
                 the other was sent",
                first.text, second.text
            );
            find(room, first, second, detail);
        }
    }
    findings.into_values().collect()
}

/// The index of each id among the client's messages.
fn places_of<'a>(receiver: &Receiver<'a>) -> HashMap<&'a str, usize> {
    let logged = receiver.received.iter().enumerate().filter(|(_, receipt)| !receipt.id.is_empty());
    logged.map(|(place, receipt)| (receipt.id, place)).collect()
}

/// Of the messages that both clients received, those adjacent here and in the other order there.
fn descents<'a>(here: &Receiver<'a>, there: &HashMap<&'a str, usize>) -> Vec<(Receipt<'a>, Receipt<'a>)> {
    let both = here.received.iter().filter_map(|receipt| Some((*receipt, *there.get(receipt.id)?)));
    let both: Vec<_> = both.collect();
    let turned = both.windows(2).filter(|pair| pair[0].1 > pair[1].1);
    turned.map(|pair| (pair[0].0, pair[1].0)).collect()
}

/// Messages whose id is lower than that of a message received before. A log that was lost may begin
/// again with lower ids, which a notice says.
fn against_ids<'a>(receiver: &Receiver<'a>) -> Vec<(Receipt<'a>, Receipt<'a>)> {
    let notices: HashSet<_> = receiver.notices.iter().map(|notice| notice.place).collect();
    let mut highest: Option<Receipt<'a>> = None;
    let mut turned = Vec::new();
    for (place, receipt) in receiver.received.iter().enumerate() {
        if notices.contains(&place) {
            highest = None;
        }
        if receipt.id.is_empty() {
            continue;
        }
        match highest {
            Some(before) if Position::of(Some(before.id)) > Position::of(Some(receipt.id)) => {
                turned.push((before, *receipt));
            }
            _ => highest = Some(*receipt),
        }
    }
    turned
}

/// Messages received after one that was first sent when they were in the log already.
fn against_time<'a>(index: &RecordIndex<'a>, receiver: &Receiver<'a>) -> Vec<(Receipt<'a>, Receipt<'a>)> {
    let mut latest: Option<(Receipt<'a>, Duration)> = None;
    let mut turned = Vec::new();
    for receipt in &receiver.received {
        let Some(message) = index.messages.get(receipt.text).filter(|message| message.ids.len() == 1) else {
            continue;
        };
        match latest {
            Some((before, sent)) if message.logged.is_some_and(|logged| logged < sent) => {
                turned.push((before, *receipt));
            }
            Some((_, sent)) if sent >= message.sent => {}
            _ => latest = Some((*receipt, message.sent)),
        }
    }
    turned
}
