//! The checker finds a deliberate fault in the delivery of one message to one client, in a run
//! without other faults.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::checker::{Verdict, check};
use super::clients::Clients;
use super::instructions::Traffic;
use super::proxy::ChaosProxy;
use super::record::PhaseKind;
use super::tampering::{Deed, Protocol, Tampering};
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, holds, until};

/// Asserts that the findings for twelve clients in two rooms, and those of the private chat, have
/// these verdicts, on one node behind a proxy that tampers once.
async fn assert_found(tampering: Option<Tampering>, verdicts: &[Verdict]) {
    assert_found_in((12, 2), tampering, verdicts).await;
}

async fn assert_found_in(size: (usize, usize), tampering: Option<Tampering>, verdicts: &[Verdict]) {
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
    // What is on its way is missing until it arrives.
    let expected: BTreeSet<_> = verdicts.iter().copied().collect();
    until(PATIENCE, "the findings", async || {
        let findings = check(&clients.recorder.read());
        let found: BTreeSet<_> = findings.iter().map(|finding| finding.verdict).collect();
        let is_forgiven = findings.iter().any(|finding| finding.forgiven);
        holds(found == expected && !is_forgiven, || format!("{findings:#?}"))
    })
    .await;
    let events = clients.recorder.read().events.len();
    assert!(events > 40, "{events} events");
}

#[tokio::test]
async fn a_run_without_faults_has_no_findings() {
    assert_found(None, &[]).await;
}

async fn assert_deed_is_found(protocol: Protocol, deed: Deed, verdicts: &[Verdict]) {
    assert_found(Some(Tampering { protocol, deed }), verdicts).await;
}

#[tokio::test]
async fn a_dropped_frame_is_found() {
    assert_deed_is_found(Protocol::Parlor, Deed::Drop, &[Verdict::Lost, Verdict::Unchained]).await;
}

#[tokio::test]
async fn a_dropped_frame_of_a_private_chat_is_found() {
    for protocol in [Protocol::Parlor, Protocol::Centrifugo] {
        let tampering = Tampering { protocol, deed: Deed::Drop };
        assert_found_in((0, 0), Some(tampering), &[Verdict::Lost, Verdict::Unchained]).await;
    }
}

#[tokio::test]
async fn a_duplicated_frame_is_found() {
    assert_deed_is_found(Protocol::Parlor, Deed::Double, &[Verdict::Repeated]).await;
}

#[tokio::test]
async fn two_swapped_frames_are_found() {
    let verdicts = [Verdict::Reordered, Verdict::Unchained];
    assert_deed_is_found(Protocol::Parlor, Deed::Swap, &verdicts).await;
}

#[tokio::test]
async fn a_forged_frame_is_found() {
    let verdicts = [Verdict::Lost, Verdict::Invented, Verdict::TwoTexts];
    assert_deed_is_found(Protocol::Parlor, Deed::Forge, &verdicts).await;
}

#[tokio::test]
async fn a_dropped_publication_is_found() {
    assert_deed_is_found(Protocol::Centrifugo, Deed::Drop, &[Verdict::Lost, Verdict::Unchained]).await;
}

#[tokio::test]
async fn a_duplicated_publication_is_found() {
    let verdicts = [Verdict::NotRising, Verdict::Repeated];
    assert_deed_is_found(Protocol::Centrifugo, Deed::Double, &verdicts).await;
}

#[tokio::test]
async fn two_swapped_publications_are_found() {
    let verdicts = [Verdict::NotRising, Verdict::Reordered, Verdict::Unchained];
    assert_deed_is_found(Protocol::Centrifugo, Deed::Swap, &verdicts).await;
}

#[tokio::test]
async fn a_forged_publication_is_found() {
    let verdicts = [Verdict::Ambiguous, Verdict::Invented, Verdict::Lost, Verdict::TwoTexts];
    assert_deed_is_found(Protocol::Centrifugo, Deed::Forge, &verdicts).await;
}

#[tokio::test]
async fn a_publication_at_the_offset_of_another_is_found() {
    let verdicts = [Verdict::Ambiguous, Verdict::NotRising, Verdict::Unchained];
    assert_deed_is_found(Protocol::Centrifugo, Deed::Renumber, &verdicts).await;
}
