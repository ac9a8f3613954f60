//! The checker finds a deliberate fault in the delivery of one message to one client, in a run
//! without other faults.

use std::time::Duration;

use tokio::time::sleep;

use super::checker::{Finding, Verdict, check};
use super::clients::Clients;
use super::instructions::Traffic;
use super::proxy::ChaosProxy;
use super::record::PhaseKind;
use super::tampering::Tampering;
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Returns the findings for twelve clients in two rooms on one node behind a proxy that tampers
/// once.
async fn findings_with(tampering: Option<Tampering>) -> Vec<Finding> {
    let node = Node::alone().await;
    let proxy = ChaosProxy::with(node.address(), tampering).await;
    let clients = Clients::start(12, 2, proxy.address(), 1).await;
    clients.recorder.begin("none", PhaseKind::Calm);
    clients.instruct(clients.all(), |instructions| instructions.traffic = Traffic::Normal);
    sleep(Duration::from_millis(700)).await;
    if tampering.is_some() {
        proxy.arm();
        until(PATIENCE, "the mischief", async || holds(!proxy.is_armed(), String::new)).await;
    }
    sleep(Duration::from_millis(1500)).await;
    clients.instruct(clients.all(), |instructions| instructions.traffic = Traffic::None);
    clients.wait_until_settled(PATIENCE).await.expect("everything to be answered");
    // A client that misses the last message would block this wait for ever.
    clients.wait_until_in_step(seconds(2)).await.ok();
    let record = clients.recorder.read();
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
    let findings = findings_with(Some(Tampering::Drop)).await;
    assert_all(&findings, Verdict::Lost);
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[tokio::test]
async fn a_duplicated_frame_is_found() {
    let findings = findings_with(Some(Tampering::Double)).await;
    assert_all(&findings, Verdict::Repeated);
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[tokio::test]
async fn two_swapped_frames_are_found() {
    let findings = findings_with(Some(Tampering::Swap)).await;
    assert_all(&findings, Verdict::Reordered);
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[tokio::test]
async fn a_forged_frame_is_found() {
    let findings = findings_with(Some(Tampering::Forge)).await;
    assert_all(&findings, Verdict::Invented);
    assert_all(&findings, Verdict::TwoTexts);
}
