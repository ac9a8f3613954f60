//! Every client sees the messages of a room in one order.

use std::collections::{BTreeMap, HashMap};

use super::index::{Receiver, RecordIndex};
use super::{Finding, Verdict};

/// Pairs of messages that two clients received in different orders, each pair once.
pub fn reordered(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = BTreeMap::new();
    let places: Vec<_> = index.receivers.iter().map(places_of).collect();
    for (who, receiver) in index.receivers.iter().enumerate() {
        for (other, _) in index.receivers_in(index.room_of(who)).filter(|(other, _)| *other > who) {
            for (first, second) in descents(receiver, &places[other]) {
                let pair = (index.room_of(who), first.min(second), first.max(second));
                findings.entry(pair).or_insert_with(|| {
                    let at = receiver.received[places[who][second]].at;
                    let detail = format!(
                        "client {who} of room {} received {first} before {second}, client {other} the other way",
                        pair.0
                    );
                    Finding::new(Verdict::Reordered, at, detail)
                });
            }
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
fn descents<'a>(here: &Receiver<'a>, there: &HashMap<&'a str, usize>) -> Vec<(&'a str, &'a str)> {
    let both = here.received.iter().filter_map(|receipt| Some((receipt.id, *there.get(receipt.id)?)));
    let both: Vec<_> = both.collect();
    let turned = both.windows(2).filter(|pair| pair[0].1 > pair[1].1);
    turned.map(|pair| (pair[0].0, pair[1].0)).collect()
}
