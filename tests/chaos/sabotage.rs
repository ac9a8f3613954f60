//! The checker finds a deliberate fault in the delivery of one message to one client of a run without other
//! faults.

use std::time::Duration;

use tokio::time::sleep;

use super::cast::Cast;
use super::checker::{Finding, Verdict, check};
use super::gate::Gate;
use super::mischief::Mischief;
use super::orders::Voice;
use super::record::Kind;
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// What is found when twelve clients in two rooms talk to one node and the gate does this once.
async fn findings_with(mischief: Option<Mischief>) -> Vec<Finding> {
    let node = Node::alone().await;
    let gate = Gate::with(node.address(), mischief).await;
    let cast = Cast::gather(12, 2, gate.address(), 1).await;
    cast.pen.begin("none", Kind::Calm);
    cast.order(cast.everybody(), |orders| orders.voice = Voice::Plain);
    sleep(Duration::from_millis(700)).await;
    if mischief.is_some() {
        gate.let_loose();
        until(PATIENCE, "the mischief", async || holds(!gate.waits(), String::new)).await;
    }
    sleep(Duration::from_millis(1500)).await;
    cast.order(cast.everybody(), |orders| orders.voice = Voice::Silent);
    cast.at_rest(PATIENCE).await.expect("everything to be answered");
    // One who lacks the last message would keep the others waiting for good.
    cast.in_step(seconds(2)).await.ok();
    let record = cast.pen.read();
    assert!(record.events.len() > 100, "{} events", record.events.len());
    check(&record)
}

fn assert_all(findings: &[Finding], verdict: Verdict) {
    assert!(findings.iter().any(|finding| finding.verdict == verdict), "no {verdict:?} in {findings:#?}");
    assert!(findings.iter().all(|finding| !finding.forgiven), "{findings:#?}");
}

#[tokio::test]
async fn a_run_without_faults_has_no_findings() {
    assert_eq!(findings_with(None).await, []);
}

#[tokio::test]
async fn a_dropped_frame_is_found() {
    let findings = findings_with(Some(Mischief::Drop)).await;
    assert_all(&findings, Verdict::Lost);
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[tokio::test]
async fn a_duplicated_frame_is_found() {
    let findings = findings_with(Some(Mischief::Double)).await;
    assert_all(&findings, Verdict::Repeated);
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[tokio::test]
async fn two_swapped_frames_are_found() {
    let findings = findings_with(Some(Mischief::Swap)).await;
    assert_all(&findings, Verdict::Reordered);
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[tokio::test]
async fn a_forged_frame_is_found() {
    let findings = findings_with(Some(Mischief::Forge)).await;
    assert_all(&findings, Verdict::Invented);
    assert_all(&findings, Verdict::TwoTexts);
}
