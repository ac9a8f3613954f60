//! The log of one group, a letter for each event, as it is read from the layer.

use std::sync::Arc;

use parlor::layer::Page;
use parlor::wire::event::REDACTED;
use parlor::{Event, Group, Id};

use super::layer_nodes::{LayerNode, assert_chain};

pub fn lobby() -> Group {
    Group::new("lobby")
}

/// What stands at each place of a log: the text, or `-` where it is redacted.
pub fn shown(events: &[Arc<Event>]) -> String {
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
    node.layer.before(&lobby(), None, 200).await.expect("a page")
}

pub async fn redact(node: &LayerNode, id: Id) -> bool {
    node.layer.redact(&lobby(), id).await.expect("an answer")
}

/// Logs a letter for each event: their ids.
pub async fn log(node: &LayerNode, letters: &str) -> Vec<Id> {
    let mut ids = Vec::new();
    for letter in letters.chars() {
        ids.push(node.append_new(&lobby(), &letter.to_string()).await);
    }
    ids
}
