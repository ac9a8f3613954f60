//! One order of a room's messages, whoever listens.

use std::collections::{BTreeMap, HashMap};

use super::book::{Book, Listener};
use super::{Finding, Verdict};

/// Pairs of messages that two clients heard the other way round, each pair once.
pub fn reordered(book: &Book<'_>) -> Vec<Finding> {
    let mut findings = BTreeMap::new();
    let places: Vec<_> = book.listeners.iter().map(places_of).collect();
    for (who, listener) in book.listeners.iter().enumerate() {
        for (other, _) in book.listeners_in(book.room_of(who)).filter(|(other, _)| *other > who) {
            for (first, second) in descents(listener, &places[other]) {
                let pair = (book.room_of(who), first.min(second), first.max(second));
                findings.entry(pair).or_insert_with(|| {
                    let at = listener.heard[places[who][second]].at;
                    let story = format!(
                        "client {who} of room {} heard {first} before {second}, client {other} the other way",
                        pair.0
                    );
                    Finding::new(Verdict::Reordered, at, story)
                });
            }
        }
    }
    findings.into_values().collect()
}

/// Where each id stands in what the client heard.
fn places_of<'a>(listener: &Listener<'a>) -> HashMap<&'a str, usize> {
    let logged = listener.heard.iter().enumerate().filter(|(_, receipt)| !receipt.id.is_empty());
    logged.map(|(place, receipt)| (receipt.id, place)).collect()
}

/// Of the messages that both heard, those which follow one another here and stand the other way round there.
fn descents<'a>(here: &Listener<'a>, there: &HashMap<&'a str, usize>) -> Vec<(&'a str, &'a str)> {
    let both = here.heard.iter().filter_map(|receipt| Some((receipt.id, *there.get(receipt.id)?)));
    let both: Vec<_> = both.collect();
    let turned = both.windows(2).filter(|pair| pair[0].1 > pair[1].1);
    turned.map(|pair| (pair[0].0, pair[1].0)).collect()
}
