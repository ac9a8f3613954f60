//! On Centrifugo's protocol, a position stands for one message, and the offsets of an epoch rise.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::index::RecordIndex;
use super::{Finding, Verdict};
use crate::chaos::record::{Action, StreamPosition};

/// The positions and messages of each room, as all clients together have received them.
#[derive(Default)]
struct Seen<'a> {
    messages: BTreeMap<(usize, &'a StreamPosition), BTreeSet<(&'a str, &'a str)>>,
    positions: BTreeMap<(usize, &'a str), BTreeSet<&'a StreamPosition>>,
}

pub fn ambiguous(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut seen = Seen::default();
    let mut findings = Vec::new();
    let mut find = |at: Duration, detail: String| findings.push(Finding::new(Verdict::Ambiguous, at, detail));
    for event in &index.record.events {
        let Action::Received { id, position: Some(position), text, .. } = &event.action else { continue };
        let (who, room, id) = (event.who, index.room_of(event.who), id.as_deref().unwrap_or_default());
        let messages = seen.messages.entry((room, position)).or_default();
        if messages.insert((id, text)) && messages.len() > 1 {
            let detail = format!("client {who}: {position} of room {room} has the messages {messages:.60?}");
            find(event.at, detail);
        }
        let positions = seen.positions.entry((room, id)).or_default();
        if !id.is_empty() && positions.insert(position) && positions.len() > 1 {
            find(event.at, format!("client {who}: {id} of room {room} has the positions {positions:?}"));
        }
    }
    findings
}

/// What a client has of a room.
#[derive(Default)]
struct Followed<'a> {
    /// Where it goes on.
    last: Option<&'a StreamPosition>,
    /// The highest offset of each epoch.
    highest: HashMap<&'a str, u64>,
}

/// Offsets that do not rise, and those that leave others out. A welcome that is no recovery names
/// the position from which they count.
pub fn broken(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut clients: BTreeMap<usize, Followed<'_>> = BTreeMap::new();
    let mut findings = Vec::new();
    for event in &index.record.events {
        let (who, at) = (event.who, event.at);
        match &event.action {
            Action::Welcomed { since, recovered, position: Some(position), .. } => {
                let client = clients.entry(who).or_default();
                if since.is_some()
                    && *recovered
                    && let Some(last) = client.last.filter(|last| *last != position)
                {
                    let detail = format!("client {who} went on from {last}, and was welcomed at {position}");
                    findings.push(Finding::new(Verdict::Unchained, at, detail));
                }
                client.last = Some(position);
            }
            Action::Received { position: Some(position), id, .. } => {
                let client = clients.entry(who).or_default();
                let last = client.last.replace(position);
                let highest = client.highest.entry(&position.epoch).or_default();
                if position.offset <= *highest {
                    let detail = format!("client {who} received {position} (id {id:?}) after {highest}");
                    findings.push(Finding::new(Verdict::NotRising, at, detail));
                }
                *highest = position.offset.max(*highest);
                let next = match last {
                    Some(last) if last.epoch == position.epoch => last.offset + 1,
                    _ => 1,
                };
                if position.offset > next {
                    let detail =
                        format!("client {who} received {position} (id {id:?}), but had {last:?} last");
                    findings.push(Finding::new(Verdict::Unchained, at, detail));
                }
            }
            _ => {}
        }
    }
    findings
}
