//! The log of one group with one-letter events, read through the layer.

use std::sync::Arc;

use parlor::{Broker, Delivery, Group, HistoryRange, Id, Page, REDACTED};

use super::layer_nodes::{LayerNode, assert_chain};

pub fn lobby() -> Group {
    Group::new("lobby")
}

/// The texts of a log in order, with `-` for redacted ones.
pub fn shown(events: &[Arc<Delivery>]) -> String {
    assert_chain(events);
    let shown = events.iter().map(|event| {
        if event.kind() != REDACTED {
            return event.text("text").expect("a text");
        }
        for member in ["text", "id", "prev"] {
            assert_eq!(event.text(member), None, "{event:?}");
        }
        "-"
    });
    shown.collect()
}

pub async fn whole(node: &LayerNode) -> Page {
    node.layer.history(&lobby(), HistoryRange::Before(None, 200)).await.expect("a page")
}

pub async fn redact(node: &LayerNode, id: Id) -> bool {
    node.layer.redact(&lobby(), id).await.expect("an answer")
}

/// Appends an event for each letter and returns the ids.
pub async fn log(node: &LayerNode, letters: &str) -> Vec<Id> {
    let mut ids = Vec::new();
    for letter in letters.chars() {
        ids.push(node.append_new(&lobby(), &letter.to_string()).await);
    }
    ids
}
