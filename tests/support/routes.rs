//! The route table of the application, read from its text: what is served at all.

use std::collections::BTreeSet;

use regex::Regex;

const TABLE: &str = include_str!("../../handlers/main.rs");

/// One way to reach something: a method, or `socket` or `feed`, and a pattern as in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    pub method: &'static str,
    /// As `/chat/{room}/`; the slash at the end of those that have it both ways is left out.
    pub path: String,
}

/// Every way of the table.
pub fn table() -> BTreeSet<Way> {
    let arm = Regex::new(r"(?m)^ {8}(\[[^\n=]*\])\s*=>").unwrap();
    let body = TABLE.split_once("match path {").expect("a table").1;
    let body = body.split_once("_ => return None").expect("the end of the table").0;
    let heads: Vec<_> = arm.captures_iter(body).collect();
    let mut ways = BTreeSet::new();
    for (n, head) in heads.iter().enumerate() {
        let end = heads.get(n + 1).map_or(body.len(), |next| next.get(0).expect("a match").start());
        let text = &body[head.get(0).expect("a match").end()..end];
        let pattern = head[1].split('|').next().expect("a pattern");
        let methods = methods(text);
        assert!(!methods.is_empty(), "what does {} serve? {text}", &head[1]);
        ways.extend(methods.into_iter().map(|method| Way { method, path: path(pattern) }));
    }
    assert!(ways.len() > 10, "the route table of handlers/main.rs: {ways:?}");
    ways
}

/// The ways with one of these methods.
pub fn with_method(methods: &[&str]) -> BTreeSet<Way> {
    table().into_iter().filter(|way| methods.contains(&way.method)).collect()
}

/// What an arm of the table serves.
fn methods(text: &str) -> Vec<&'static str> {
    let signs = [
        ("Route::get(", "GET"),
        ("post(", "POST"),
        ("delete(", "DELETE"),
        ("socket::<", "socket"),
        ("feed::<", "feed"),
    ];
    signs.into_iter().filter(|(sign, _)| text.contains(sign)).map(|(_, method)| method).collect()
}

/// `["chat", room, ""]` as `/chat/{room}/`.
fn path(pattern: &str) -> String {
    let segments = pattern.trim().trim_start_matches('[').trim_end_matches(']').split(',').map(str::trim);
    let segments = segments.map(|segment| match segment.strip_prefix('"') {
        Some(text) => text.trim_end_matches('"').to_owned(),
        None => format!("{{{segment}}}"),
    });
    format!("/{}", segments.collect::<Vec<_>>().join("/"))
}
