//! The table of a run: what each fault cost.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::checker::{Finding, Verdict, longest_silence};
use super::record::{Record, What};

/// The part of a run in which nobody speaks.
pub const AT_REST: &str = "at rest";

pub struct Table {
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
    told: usize,
    /// Whatever else was found.
    other: usize,
    silence: Duration,
    /// How often somebody was told that something may be missing, whether it was or not.
    notices: usize,
}

impl Table {
    pub fn of(record: &Record, findings: &[Finding]) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        // Which row each phase belongs to: a fault that struck twice has one.
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
        // A message belongs to the fault that was on when it was first sent.
        let mut said = BTreeMap::new();
        for event in &record.events {
            let row = row_of[record.phase(event.at)];
            match &event.what {
                What::Said { text, .. } => {
                    said.entry(text).or_insert_with(|| {
                        rows[row].messages += 1;
                        (row, false)
                    });
                }
                What::Acked { text, .. } => {
                    if let Some((row, acked @ false)) = said.get_mut(text) {
                        rows[*row].acked += 1;
                        *acked = true;
                    }
                }
                What::Gap { .. } | What::Welcomed { since: Some(_), recovered: false, .. } => {
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
            row.told += usize::from(finding.told);
        }
        Self { rows, notes: notes(record) }
    }
}

/// From one fault to the next.
fn part(record: &Record, phase: usize) -> Range<Duration> {
    let last = record.events.last().map_or(Duration::ZERO, |event| event.at);
    record.phases[phase].from..record.phases.get(phase + 1).map_or(last, |next| next.from)
}

/// What else is worth a look: closes, errors, the waits after a `bye`, the most returns in a second.
fn notes(record: &Record) -> Vec<String> {
    let (mut closes, mut errors) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    let (mut receipts, mut beyond) = (0_usize, Duration::ZERO);
    let mut byes: Vec<Option<Duration>> = vec![None; record.rooms.len()];
    let mut knocks = BTreeMap::<_, usize>::new();
    for event in &record.events {
        match &event.what {
            What::Ended { code } => *closes.entry(code.unwrap_or_default()).or_default() += 1,
            What::Refused { code, .. } => *errors.entry(code).or_default() += 1,
            What::Heard { .. } => receipts += 1,
            What::Bye { delay } => byes[event.who] = Some(event.at + *delay),
            What::Welcomed { .. } => {
                let waited = byes[event.who].take().map(|due| event.at.saturating_sub(due));
                beyond = beyond.max(waited.unwrap_or_default());
            }
            What::Knocked { since: Some(_) } => *knocks.entry(event.at.as_secs()).or_default() += 1,
            _ => {}
        }
    }
    let herd = knocks.values().max().copied().unwrap_or_default();
    vec![
        format!("{receipts} receipts; closes by code (0: none came): {closes:?}; errors: {errors:?}"),
        format!("longest wait beyond a `bye`: {beyond:.1?}; most returns in one second: {herd}"),
    ]
}

impl fmt::Display for Table {
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
            "told",
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
                row.told,
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
