//! The log of decisions: which sockets every node closes, and how it changes connections, whether
//! or not it was connected when it was decided.
//!
//! | key | type | value |
//! |---|---|---|
//! | `parlor:{control}:log` | stream | decisions: `d` JSON, `n` a nonce, `p` and `c` those before |
//! | `parlor:{control}:droppable` | list | positions of instructions in the log |
//! | `parlor:{control}:announced` | set | ids of announced changes of rights that have not ended |
//!
//! Pub/sub brings an entry to connected nodes at once. A node reads the log from its position on
//! before it subscribes to any group, and each second, since pub/sub may lose a message unseen. A
//! node whose position the log no longer has (it was emptied, restored, or trimmed further) asks
//! every connection again before it subscribes. Instructions that end no connection are bounded by
//! themselves: the log drops the oldest of them, and every other decision stays.
//!
//! A change of rights is made only while its id is in the set. A node removes the id before it asks
//! the sockets in question, so that no change comes after the question, however late Redis takes
//! it. No clock takes part in it. A node that takes a new position in the log reads which changes
//! are announced in the entries before it, and removes the ids that the log does not have. Only a
//! failover that loses a removal lets a change come later, if the process that makes it stood still
//! for so long.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Cmd;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::layer::decision::Decision;
use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;
use crate::layer::instruction::Instruction;
use crate::layer::listener::LayerListener;
use crate::layer::redis::absent_records::AbsentRecords;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::decision_cursor::{
    DecisionCursor, DecisionEntry, DecisionPlace, DecisionPosition, PageOutcome, Pushed,
};
use crate::layer::redis::scripts::Scripts;
use crate::telemetry::{Chain, DropReason, METRICS};
use crate::wire::hex::hex;
use crate::wire::time::millis;

/// Time between two comparisons with the log.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
/// Time after the last comparison from which on a node may have missed decisions.
const MAX_AGE: Duration = Duration::from_secs(3);
/// Time in which a node has to be in line with the log again before a caller gets an error.
const WAIT_TIMEOUT: Duration = Duration::from_millis(800);
/// Decisions of one page.
const MAX_PAGE_DECISIONS: usize = 500;
/// Decisions that the log keeps, and for how long: a node that was disconnected for longer asks
/// every connection again.
const MAX_DECISIONS: usize = 10_000;
const DECISION_WINDOW: Duration = Duration::from_hours(24);
/// Instructions that the log keeps beside them; a node takes no more at once.
const MAX_INSTRUCTIONS: usize = 4096;

/// Writes decisions into the log.
#[derive(Clone)]
pub(super) struct DecisionWriter {
    pub(super) commands: Arc<Commands>,
    pub(super) scripts: Arc<Scripts>,
    /// Replicas that have to have a decision before it counts as made.
    pub(super) replicas: usize,
}

impl DecisionWriter {
    /// Appends decisions to the log and publishes them; a change that they announce begins.
    pub(super) async fn write(&self, decisions: &[Disconnect]) -> Result<(), LayerError> {
        let json = |decision| serde_json::to_string(decision).expect("texts and a number become JSON");
        let announces = decisions.first().and_then(|decision| decision.announces.as_deref());
        let (announces, decisions) = (announces.unwrap_or_default(), decisions.iter().map(json).collect());
        self.run(announces, false, decisions, self.replicas).await?;
        Ok(())
    }

    /// Appends an instruction to the log and publishes it.
    pub(super) async fn write_instruction(&self, instruction: &Instruction) -> Result<(), LayerError> {
        let json = serde_json::to_string(instruction).expect("texts and numbers become JSON");
        self.run("", instruction.is_droppable(), vec![json], self.replicas).await?;
        Ok(())
    }

    /// Ends announced changes: they cannot be made from now on.
    pub(super) async fn end_changes(&self, ids: &[&str]) -> Result<(), LayerError> {
        let mut remove = Cmd::new();
        remove.arg("SREM").arg(self.commands.keys().announced()).arg(ids);
        // Not by a replica too: without one the sockets still have to be asked.
        self.commands.command(&remove).await
    }

    /// Returns the end of the log, and the ids of the changes that are announced there. An empty
    /// log gets a mark.
    async fn end(&self) -> Result<(DecisionPlace, HashSet<String>), LayerError> {
        let mut reply = self.run("", false, vec![String::new()], 0).await?.into_iter();
        let position = reply.next().as_deref().and_then(DecisionPosition::parse);
        let position = position.ok_or(LayerError::UnexpectedReply("a position"))?;
        let lasting = reply.next().as_deref().and_then(DecisionPosition::parse);
        Ok((DecisionPlace { position, lasting }, reply.collect()))
    }

    async fn run(
        &self,
        announces: &str,
        are_droppable: bool,
        decisions: Vec<String>,
        replicas: usize,
    ) -> Result<Vec<String>, LayerError> {
        let keys = self.commands.keys();
        let mut script = self.scripts.decide.key(keys.control_log());
        script.key(keys.announced()).key(keys.droppable()).arg(keys.control_channel());
        script.arg(MAX_DECISIONS + MAX_INSTRUCTIONS).arg(millis(DECISION_WINDOW)).arg(announces);
        script.arg(MAX_INSTRUCTIONS).arg(if are_droppable { "1" } else { "" });
        for decision in decisions {
            script.arg(hex(&rand::random::<[u8; 8]>())).arg(decision);
        }
        self.commands.written(&script, replicas).await
    }
}

/// An entry of a stream: its id and its fields.
type StreamEntry = (String, Vec<(String, Vec<u8>)>);

/// This node's share of the log of decisions.
pub(super) struct DecisionLog {
    writer: DecisionWriter,
    listener: Arc<dyn LayerListener>,
    /// What no decision has ended yet.
    absent: Arc<AbsentRecords>,
    cursor: Mutex<DecisionCursor>,
    /// When the node was last in line with the log; `None` while it is disconnected.
    compared_at: watch::Sender<Option<Instant>>,
    /// Whether it ever was.
    has_begun: watch::Sender<bool>,
    /// An entry arrived that does not follow the one before.
    behind: Notify,
}

impl DecisionLog {
    pub(super) fn new(
        writer: DecisionWriter,
        listener: Arc<dyn LayerListener>,
        absent: Arc<AbsentRecords>,
    ) -> Self {
        Self {
            writer,
            listener,
            absent,
            cursor: Mutex::default(),
            compared_at: watch::Sender::new(None),
            has_begun: watch::Sender::new(false),
            behind: Notify::new(),
        }
    }

    /// Returns what writes into the log.
    pub(super) fn writer(&self) -> &DecisionWriter {
        &self.writer
    }

    /// Ends announced changes: they cannot be made from now on.
    pub(super) async fn end_changes(&self, ids: &[&str]) -> Result<(), LayerError> {
        self.writer.end_changes(ids).await?;
        // One that was made may have written a record that was absent.
        self.absent.forget();
        Ok(())
    }

    /// The subscription was lost, and with it perhaps decisions.
    pub(super) fn on_disconnected(&self) {
        self.compared_at.send_replace(None);
        self.absent.forget();
    }

    /// Takes a message of the control channel.
    pub(super) fn on_pushed(&self, payload: &[u8]) {
        let Some(entry) = parse_pushed(payload) else {
            METRICS.dropped(DropReason::Malformed);
            debug!("malformed entry of the log of decisions dropped");
            return;
        };
        let pushed = self.cursor.lock().on_pushed(entry);
        match pushed {
            Pushed::Apply(Some(Decision::Disconnect(command))) => {
                // First: a client that was admitted by it registers in time to be matched.
                self.absent.forget();
                self.listener.on_disconnect(command);
            }
            Pushed::Apply(Some(Decision::Instruction(instruction))) => {
                self.listener.on_instruction(instruction);
            }
            Pushed::Apply(None) | Pushed::Known => {}
            Pushed::Behind => self.behind.notify_one(),
        }
    }

    /// Applies every decision that this node has missed. If the log does not say, asks every
    /// connection again. The node must be subscribed to the control channel, and to no group yet.
    pub(super) async fn catch_up(&self) -> Result<(), LayerError> {
        while !self.compare().await? {
            let (end, ids) = self.writer.end().await?;
            let announced = self.announced(&end.position, &ids).await?;
            self.listener.on_missed_disconnects(&announced);
            self.cursor.lock().restart(end);
        }
        if !self.cursor.lock().is_verified() {
            self.listener.ask_again().await?;
            self.cursor.lock().mark_verified();
        }
        self.compared_at.send_replace(Some(Instant::now()));
        self.has_begun.send_replace(true);
        Ok(())
    }

    /// Waits until the node was in line with the log for the first time.
    pub(super) async fn until_begun(&self) {
        let _ = self.has_begun.subscribe().wait_for(|begun| *begun).await; // the sender is its own
    }

    /// Keeps a subscribed node in line with the log. Returns why it has to subscribe again.
    pub(super) async fn follow(&self) -> &'static str {
        loop {
            let _ = timeout(COMPARE_INTERVAL, self.behind.notified()).await;
            if self.compared_at.borrow().is_none() {
                continue; // `catch_up` is at it
            }
            match self.compare().await {
                Ok(true) => {
                    self.compared_at.send_modify(|at| *at = at.map(|_| Instant::now()));
                }
                Ok(false) => return "the log of decisions was lost",
                Err(error) => {
                    debug!(error = %Chain(&error), "could not read the log of decisions");
                    sleep(COMPARE_INTERVAL / 4).await;
                }
            }
        }
    }

    /// Waits until the node is in line with the log. Where no node reaches the log's shard of a
    /// Cluster, nothing can be decided.
    ///
    /// # Errors
    /// Fails when it is not within [`WAIT_TIMEOUT`].
    pub(super) async fn in_line(&self) -> Result<(), LayerError> {
        let is_recent = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() < MAX_AGE);
        if is_recent(&self.compared_at.borrow()) || self.is_away_from_all() {
            return Ok(());
        }
        self.behind.notify_one();
        let mut compared_at = self.compared_at.subscribe();
        match timeout(WAIT_TIMEOUT, compared_at.wait_for(is_recent)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(LayerError::Unreachable("this node may have missed decisions".into())),
        }
    }

    /// Returns whether the log may be away from every node of a Cluster, after this one was in line
    /// with it.
    pub(super) fn is_away_from_all(&self) -> bool {
        let commands = &self.writer.commands;
        *self.has_begun.borrow()
            && commands.shards().is_away_from_all(commands.keys().control_channel().as_bytes())
    }

    /// Applies what the log has after the node's position. Returns `false` if the log does not have
    /// the position.
    async fn compare(&self) -> Result<bool, LayerError> {
        loop {
            let Some(from) = self.cursor.lock().place().cloned() else { return Ok(false) };
            let page = self.page(&from.position).await?;
            let is_last = page.len() < MAX_PAGE_DECISIONS;
            let outcome = self.cursor.lock().on_page(&from, page);
            match outcome {
                PageOutcome::Missed { decisions, is_whole } => {
                    if !is_whole {
                        METRICS.dropped(DropReason::Overflow);
                        warn!("redis no longer has instructions to connections that this node has missed");
                    }
                    if !decisions.is_empty() {
                        info!(decisions = decisions.len(), "applied decisions that this node had missed");
                        self.absent.forget();
                        self.apply_missed(decisions);
                    }
                }
                PageOutcome::Lost => {
                    warn!(
                        "redis no longer has this node's position in the log of decisions: every connection is asked again"
                    );
                    return Ok(false);
                }
            }
            if is_last {
                return Ok(true);
            }
        }
    }

    /// Applies decisions that were missed, in their order.
    fn apply_missed(&self, missed: Vec<Decision>) {
        let mut commands = Vec::new();
        for decision in missed {
            match decision {
                Decision::Disconnect(command) => commands.push(command),
                Decision::Instruction(instruction) => {
                    self.listener.on_missed_disconnects(&std::mem::take(&mut commands));
                    self.listener.on_instruction(instruction);
                }
            }
        }
        self.listener.on_missed_disconnects(&commands);
    }

    /// Returns the announcements of these changes, up to the end of the log. Ends the changes that
    /// the log does not have: no node can ask their sockets.
    async fn announced(
        &self,
        end: &DecisionPosition,
        ids: &HashSet<String>,
    ) -> Result<Vec<Disconnect>, LayerError> {
        let mut unknown: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut announcements = Vec::new();
        let mut until = end.id().to_owned();
        // The commands of a change are in a row, which a page may cut.
        let mut is_within_change = false;
        while !unknown.is_empty() || is_within_change {
            let page = self.read("XREVRANGE", &until, "-").await?;
            let Some(oldest) = page.last() else { break };
            until = format!("({}", oldest.position.id());
            for entry in page {
                let is_announced = |decision: &Disconnect| {
                    decision.announces.as_ref().is_some_and(|change| ids.contains(change))
                };
                let command = entry.decision.and_then(Decision::disconnect);
                let announcement = command.filter(is_announced);
                is_within_change = announcement.is_some();
                if let Some(change) = announcement.as_ref().and_then(|found| found.announces.as_deref()) {
                    unknown.remove(change);
                }
                announcements.extend(announcement);
            }
        }
        if !unknown.is_empty() {
            self.end_changes(&Vec::from_iter(unknown)).await?;
        }
        announcements.reverse();
        Ok(announcements)
    }

    async fn page(&self, from: &DecisionPosition) -> Result<Vec<DecisionEntry>, LayerError> {
        self.read("XRANGE", from.id(), "+").await
    }

    /// Reads a page of the log by `XRANGE` or `XREVRANGE`.
    async fn read(&self, range: &str, from: &str, to: &str) -> Result<Vec<DecisionEntry>, LayerError> {
        let commands = &self.writer.commands;
        let mut read = Cmd::new();
        read.arg(range).arg(commands.keys().control_log()).arg(from).arg(to);
        read.arg("COUNT").arg(MAX_PAGE_DECISIONS);
        let entries: Vec<StreamEntry> = commands.command(&read).await?;
        Ok(entries.iter().map(|(id, fields)| parse_entry(id, fields)).collect())
    }
}

/// Parses an entry of the stream. One of another program continues no other: what it was meant to
/// decide is not known.
fn parse_entry(id: &str, fields: &[(String, Vec<u8>)]) -> DecisionEntry {
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value);
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    DecisionEntry {
        // `decide.lua` takes the first field, whatever its name.
        position: DecisionPosition::new(id, &text(fields.first().map(|(_, value)| &**value))),
        prev: DecisionPosition::parse(&text(field("p"))),
        prev_lasting: DecisionPosition::parse(&text(field("c"))),
        is_droppable: field("i").is_some(),
        decision: decode(field("d").unwrap_or_default()),
    }
}

/// Parses a message of the control channel: the position, the one before, the decision.
fn parse_pushed(payload: &[u8]) -> Option<DecisionEntry> {
    let (position, rest) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    let (prev, decision) = rest.split_once(' ')?;
    let position = DecisionPosition::parse(position)?;
    let decision = decode(decision.as_bytes());
    Some(DecisionEntry {
        position,
        prev: DecisionPosition::parse(prev),
        prev_lasting: None,
        is_droppable: decision.as_ref().is_some_and(Decision::is_droppable),
        decision,
    })
}

/// Decodes a decision; counts one that is malformed.
fn decode(json: &[u8]) -> Option<Decision> {
    let decision = Decision::decode(json);
    if decision.is_none() && !json.is_empty() {
        METRICS.dropped(DropReason::Malformed);
        debug!("malformed decision dropped");
    }
    decision
}
