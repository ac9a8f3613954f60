//! A page of `docs/`: its tables and its blocks of code.

use std::fs;
use std::path::Path;

/// The cells of each row of the table with this head, without enclosing backticks.
pub fn table(page: &str, head: &[&str]) -> Vec<Vec<String>> {
    let text = read(page);
    let mut rows = text.lines().map(cells).skip_while(|row| row.as_deref() != Some(&owned(head)));
    assert!(rows.next().is_some(), "no table with the head {head:?} in docs/{page}");
    let rows: Vec<_> = rows.skip(1).map_while(|row| row).collect();
    assert!(!rows.is_empty(), "an empty table {head:?} in docs/{page}");
    rows
}

/// The cells of each row of all tables with this head.
pub fn tables(page: &str, head: &[&str]) -> Vec<Vec<String>> {
    let (text, head) = (read(page), owned(head));
    let mut rows = Vec::new();
    let mut lines = text.lines().map(cells);
    while lines.by_ref().any(|row| row.as_ref() == Some(&head)) {
        rows.extend(lines.by_ref().skip(1).map_while(|row| row));
    }
    assert!(!rows.is_empty(), "no table with the head {head:?} in docs/{page}");
    rows
}

/// The first cells of all rows of all tables.
pub fn first_cells(page: &str) -> Vec<String> {
    read(page).lines().filter_map(cells).filter_map(|row| row.into_iter().next()).collect()
}

/// The words in backticks.
pub fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A fenced block of code.
pub struct Block {
    /// The rest of the opening fence: a language, and perhaps a file.
    pub info: String,
    pub text: String,
}

/// The fenced blocks in the page's order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let text = read(page);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .fold(String::new(), |text, line| text + line + "\n");
            blocks.push(Block { info: info.to_owned(), text });
        }
    }
    blocks
}

fn read(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}: {}", path.display()))
}

/// The cells of a line, if it is a row of a table.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(|cell| cell.trim().to_owned()).collect())
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
