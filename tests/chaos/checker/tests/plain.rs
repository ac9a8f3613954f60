//! The plain wire, which has no ids.

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Action, PhaseKind};

/// Three messages, of which client 4, on the plain wire, receives these.
fn heard(kind: PhaseKind, texts: &[&str]) -> RecordBuilder {
    let builder = RecordBuilder::in_a_phase(kind).then(4, Action::Opened { user: "plain".to_owned() });
    let builder = builder.delivers_to_all("a", "1").delivers_to_all("b", "2").delivers_to_all("c", "3");
    let hears = |builder: RecordBuilder, text: &&str| {
        let text = (*text).to_owned();
        builder.then(4, Action::Heard { text })
    };
    texts.iter().fold(builder, hears).then(4, Action::Ended { code: None })
}

#[test]
fn the_plain_wire_delivers_a_part_of_the_log() {
    for texts in [&["a", "b", "c"][..], &["b", "c"], &["a"], &[]] {
        heard(PhaseKind::Harmless, texts).has_no_findings();
    }
}

#[test]
fn the_plain_wire_leaves_nothing_out() {
    heard(PhaseKind::Harmless, &["a", "c"]).is(Verdict::Lost, &["client 4", "\"b\""]);
    heard(PhaseKind::Losing, &["a", "c"]).has_no_findings();
}

#[test]
fn the_plain_wire_delivers_each_message_once_and_in_order() {
    heard(PhaseKind::Harmless, &["a", "a", "b"]).is(Verdict::Repeated, &["client 4"]);
    heard(PhaseKind::Harmless, &["b", "a"]).is(Verdict::Reordered, &["\"b\" before \"a\""]);
    heard(PhaseKind::Harmless, &["what no client sent"]).is(Verdict::Invented, &["client 4"]);
}
