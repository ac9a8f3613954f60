//! Push streams that fall silent.

use std::time::Duration;

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Action, PhaseKind};

fn ticks_after(silence: Duration) -> RecordBuilder {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).then(4, Action::Ticked);
    builder.later(silence)
}

#[test]
fn a_push_stream_that_falls_silent_for_good_is_found() {
    let silent = ticks_after(Duration::from_mins(1)).sends(0, "a").rejected(0, "a", false);
    silent.is(Verdict::Late, &["client 4"]);
}

#[test]
fn a_push_stream_may_pause_during_a_fault() {
    ticks_after(Duration::from_secs(30)).then(4, Action::Ticked).has_no_findings();
    ticks_after(Duration::from_mins(1)).then(4, Action::Ticked).is(Verdict::Late, &["client 4"]);
}
