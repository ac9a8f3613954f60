//! The table of a run: the cost of each fault.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::checker::{Finding, Verdict, longest_silence};
use super::record::{Action, Record};

/// The phase in which no client sends.
pub const AT_REST: &str = "at rest";

pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug, Default)]
struct Row {
    fault: &'static str,
    messages: usize,
    acked: usize,
    lost: usize,
    duplicated: usize,
    reordered: usize,
    reported: usize,
    /// All other findings.
    other: usize,
    silence: Duration,
    /// Number of gaps and failed recoveries that clients received, whether messages were missing or
    /// not.
    notices: usize,
}

impl Report {
    pub fn of(record: &Record, findings: &[Finding]) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        // Maps each phase to its row: a fault that was injected twice has one row.
        let mut row_of = Vec::new();
        for (index, phase) in record.phases.iter().enumerate() {
            let row = rows.iter().position(|row| row.fault == phase.fault).unwrap_or_else(|| {
                rows.push(Row { fault: phase.fault, ..Row::default() });
                rows.len() - 1
            });
            row_of.push(row);
            if phase.fault != AT_REST {
                rows[row].silence = rows[row].silence.max(longest_silence(record, &part(record, index)));
            }
        }
        // A message counts for the fault that was active when it was first sent.
        let mut sent = BTreeMap::new();
        for event in &record.events {
            let row = row_of[record.phase(event.at)];
            match &event.action {
                Action::Sent { text, .. } => {
                    sent.entry(text).or_insert_with(|| {
                        rows[row].messages += 1;
                        (row, false)
                    });
                }
                Action::Acked { text, .. } => {
                    if let Some((row, acked @ false)) = sent.get_mut(text) {
                        rows[*row].acked += 1;
                        *acked = true;
                    }
                }
                Action::Gap { .. } | Action::Welcomed { since: Some(_), recovered: false, .. } => {
                    rows[row].notices += 1;
                }
                _ => {}
            }
        }
        for finding in findings {
            let row = &mut rows[row_of[record.phase(finding.at)]];
            match finding.verdict {
                Verdict::Lost => row.lost += 1,
                Verdict::Duplicated => row.duplicated += 1,
                Verdict::Reordered => row.reordered += 1,
                _ => row.other += 1,
            }
            row.reported += usize::from(finding.reported);
        }
        Self { rows, notes: notes(record) }
    }
}

/// From one fault to the next.
fn part(record: &Record, phase: usize) -> Range<Duration> {
    let last = record.events.last().map_or(Duration::ZERO, |event| event.at);
    record.phases[phase].from..record.phases.get(phase + 1).map_or(last, |next| next.from)
}

/// Further figures: closes, errors, rooms left and joined again, waits after a `bye`, the most
/// reconnections in a second.
fn notes(record: &Record) -> Vec<String> {
    let (mut closes, mut errors) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    let (mut receipts, mut beyond) = (0_usize, Duration::ZERO);
    let mut byes: Vec<Option<Duration>> = vec![None; record.rooms.len()];
    let mut reconnects = BTreeMap::<_, usize>::new();
    let (mut left, mut returns) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    let mut abandoned = 0_usize;
    for event in &record.events {
        match &event.action {
            Action::Ended { code } => *closes.entry(code.unwrap_or_default()).or_default() += 1,
            Action::Rejected { code, .. } => *errors.entry(code).or_default() += 1,
            Action::Received { .. } => receipts += 1,
            Action::Bye { delay } => byes[event.who] = Some(event.at + *delay),
            Action::Unsubscribed { code } => *left.entry(code).or_default() += 1,
            Action::Abandoned { .. } => abandoned += 1,
            Action::Welcomed { since, recovered, position, .. } => {
                if since.is_some() {
                    let protocol = if position.is_some() { "Centrifugo" } else { "parlor.v1" };
                    *returns.entry((protocol, recovered)).or_default() += 1;
                }
                let waited = byes[event.who].take().map(|due| event.at.saturating_sub(due));
                beyond = beyond.max(waited.unwrap_or_default());
            }
            Action::HandshakeStarted { since: Some(_) } => {
                *reconnects.entry(event.at.as_secs()).or_default() += 1;
            }
            _ => {}
        }
    }
    let herd = reconnects.values().max().copied().unwrap_or_default();
    vec![
        format!("{receipts} receipts; closes by code (0: none came): {closes:?}; errors: {errors:?}"),
        format!("rooms left by code: {left:?}; returns to a room, and whether they recovered: {returns:?}"),
        format!("{abandoned} messages without an id were not answered, and may be in the log or not"),
        format!("longest wait beyond a `bye`: {beyond:.1?}; most returns in one second: {herd}"),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<34}|{:>9} |{:>7} |{:>6} |{:>11} |{:>10} |{:>6} |{:>16} |{:>8} |{:>6}",
            "fault",
            "messages",
            "acked",
            "lost",
            "duplicated",
            "reordered",
            "reported",
            "longest silence",
            "notices",
            "other"
        )?;
        for row in &self.rows {
            writeln!(
                formatter,
                "{:<34}|{:>9} |{:>7} |{:>6} |{:>11} |{:>10} |{:>6} |{:>14.2} s |{:>8} |{:>6}",
                row.fault,
                row.messages,
                row.acked,
                row.lost,
                row.duplicated,
                row.reordered,
                row.reported,
                row.silence.as_secs_f64(),
                row.notices,
                row.other
            )?;
        }
        for note in &self.notes {
            writeln!(formatter, "{note}")?;
        }
        Ok(())
    }
}
