//! The table: one row for each scene and setting, in Markdown.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::ledger::Wrongs;
use crate::outcome::Outcome;
use crate::scene::{Part, Scene};

/// The markers around the table in its page.
const MARKS: [&str; 2] = ["<!-- make bench writes from here -->", "<!-- to here -->"];
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
/// The page when there is none yet.
const NEW: &str =
    "# Performance\n\nWhat Parlor does in a second, and what that costs; `make bench` measures it again.\n";

pub(crate) struct Table {
    /// The description of the machine.
    head: String,
    rows: Vec<Vec<String>>,
    wrongs: Wrongs,
    breathless: bool,
}

impl Table {
    pub(crate) fn new(head: String) -> Self {
        Self { head, rows: Vec::new(), wrongs: Wrongs::default(), breathless: false }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, scene: Scene, part: Part, outcome: &Outcome) {
        let mut name = match part.members {
            Some(members) => format!("{members} members"),
            None => scene.to_string(),
        };
        for (sign, on) in [(" ¹", part.setting.pinned), (" ²", outcome.breathless)] {
            name += if on { sign } else { "" };
        }
        self.breathless |= outcome.breathless;
        self.wrongs += outcome.wrongs;
        let mut row = vec![name, part.setting.layer().to_owned(), part.setting.nodes.to_string()];
        row.extend(outcome.cells());
        self.rows.push(row);
    }

    /// Returns the violations of all rows.
    pub(crate) fn wrongs(&self) -> Wrongs {
        self.wrongs
    }

    /// Replaces the table in its page.
    pub(crate) fn write(&self) -> Result<()> {
        let [first, last] = MARKS;
        let page = if Path::new(PAGE).exists() { fs::read_to_string(PAGE)? } else { NEW.to_owned() };
        let (before, rest) = page.split_once(first).unwrap_or((&page, ""));
        let after = rest.split_once(last).map_or("\n", |(_, after)| after);
        let before = if rest.is_empty() { format!("{}\n\n", before.trim_end()) } else { before.to_owned() };
        fs::write(PAGE, format!("{before}{first}\n\n{self}\n{last}{after}"))?;
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.head)?;
        let heads = ["scene", "layer", "nodes"].iter().chain(&Outcome::HEADS).chain(&["wrong"]);
        let heads: Vec<_> = heads.copied().collect();
        writeln!(f, "| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        if self.rows.iter().any(|row| row[0].contains('¹')) {
            writeln!(
                f,
                "\n¹ Nodes, Redis and clients share one CPU, so that costs can be compared from run to run."
            )?;
        }
        if self.breathless {
            writeln!(
                f,
                "\n² The clients, or the CPU that they share, were busy all the time: the nodes can do more."
            )?;
        }
        Ok(())
    }
}
