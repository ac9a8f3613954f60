//! The checker finds a deliberate fault in the delivery of one message to one client, in a run
//! without other faults.

use std::collections::BTreeSet;
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

/// Returns the findings for twelve clients in two rooms, and those of the private chat, on one node
/// behind a proxy that tampers once.
async fn findings_with(tampering: Option<Tampering>) -> Vec<Finding> {
    findings_in((12, 2), tampering).await
}

async fn findings_in(size: (usize, usize), tampering: Option<Tampering>) -> Vec<Finding> {
    let node = Node::alone().await;
    let proxy = ChaosProxy::with(node.address(), tampering).await;
    let clients = Clients::start(size, proxy.address(), &node, 1).await;
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
    assert!(record.events.len() > 40, "{} events", record.events.len());
    check(&record)
}

/// Asserts that there is at least one finding with each of these verdicts, and none with another.
fn assert_found(findings: &[Finding], verdicts: &[Verdict]) {
    let found: BTreeSet<_> = findings.iter().map(|finding| finding.verdict).collect();
    assert_eq!(found, verdicts.iter().copied().collect(), "{findings:#?}");
    assert!(findings.iter().all(|finding| !finding.forgiven), "{findings:#?}");
}

#[tokio::test]
async fn a_run_without_faults_has_no_findings() {
    assert_eq!(findings_with(None).await, []);
}

#[tokio::test]
async fn a_dropped_frame_is_found() {
    let findings = findings_with(Some(Tampering::Drop)).await;
    assert_found(&findings, &[Verdict::Lost, Verdict::Unchained]);
}

#[tokio::test]
async fn a_dropped_frame_of_a_private_chat_is_found() {
    let findings = findings_in((0, 0), Some(Tampering::Drop)).await;
    assert_found(&findings, &[Verdict::Lost, Verdict::Unchained]);
}

#[tokio::test]
async fn a_duplicated_frame_is_found() {
    assert_found(&findings_with(Some(Tampering::Double)).await, &[Verdict::Repeated]);
}

#[tokio::test]
async fn two_swapped_frames_are_found() {
    let findings = findings_with(Some(Tampering::Swap)).await;
    assert_found(&findings, &[Verdict::Reordered, Verdict::Unchained]);
}

#[tokio::test]
async fn a_forged_frame_is_found() {
    let findings = findings_with(Some(Tampering::Forge)).await;
    assert_found(&findings, &[Verdict::Lost, Verdict::Invented, Verdict::TwoTexts]);
}
