//! The route table of the application, as `parlor routes` prints it: what is served at all.

use std::collections::BTreeSet;
use std::process::Command;

/// One way to reach something: a method, or `socket` or `feed`, and a pattern as in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    pub method: &'static str,
    /// As `/chat/{room}/`; an optional slash at the end is left out.
    pub path: String,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub method: &'static str,
    pub path: String,
    pub slash: String,
    pub who: String,
    pub scope: Option<String>,
    pub csrf: Option<String>,
    pub rate: Option<String>,
}

/// Every line of the table.
pub fn rows() -> Vec<Row> {
    let output = Command::new(env!("CARGO_BIN_EXE_parlor")).arg("routes").env_clear().output();
    let output = String::from_utf8(output.expect("parlor routes").stdout).expect("UTF-8");
    let mut lines = output.lines();
    let headings: Vec<&str> = lines.next().expect("headings").split_whitespace().collect();
    assert_eq!(headings, ["METHOD", "PATH", "SLASH", "NAME", "WHO", "SCOPE", "CSRF", "RATE"]);
    let rows: Vec<Row> = lines.map(row).collect();
    assert!(rows.len() > 10, "the routes: {output}");
    rows
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.split_whitespace().collect();
    let [method, path, slash, _, who, scope, csrf, rate] = cells[..] else { panic!("eight cells: {line}") };
    let methods =
        [("GET", "GET"), ("POST", "POST"), ("DELETE", "DELETE"), ("WEBSOCKET", "socket"), ("SSE", "feed")];
    let known = methods.into_iter().find(|(printed, _)| *printed == method);
    let given = |cell: &str| Some(cell.to_owned()).filter(|cell| cell != "-");
    assert!(method == "GET" || given(rate).is_some(), "a rate, or that there is none: {line}");
    Row {
        method: known.unwrap_or_else(|| panic!("a method: {line}")).1,
        path: path.to_owned(),
        slash: slash.to_owned(),
        who: who.to_owned(),
        scope: given(scope),
        csrf: given(csrf),
        rate: given(rate),
    }
}

/// Every way of the table; a path that leads on to the one with a slash is a way of its own.
pub fn table() -> BTreeSet<Way> {
    let mut ways = BTreeSet::new();
    for Row { method, path, slash, .. } in rows() {
        let without = path.strip_suffix('/').unwrap_or(&path).to_owned();
        if slash == "redirect" && method == "GET" {
            ways.insert(Way { method, path: without.clone() });
        }
        ways.insert(Way { method, path: if slash == "optional" { without } else { path } });
    }
    ways
}

/// The ways with one of these methods.
pub fn with_method(methods: &[&str]) -> BTreeSet<Way> {
    table().into_iter().filter(|way| methods.contains(&way.method)).collect()
}
