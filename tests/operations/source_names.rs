//! The files and functions that the documents name exist.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::support::docs_page::{names, tables};

const DOCUMENTS: [&str; 11] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/api.md",
    "docs/architecture.md",
    "docs/handlers.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/protocol.md",
    "docs/security.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn each_path_that_a_document_names_is_in_the_tree() {
    let path = Regex::new(
        r"`((?:src|handlers|tests|examples|benches|fuzz|deploy|docs|static|templates|locales)/[\w./-]*)`",
    )
    .expect("a pattern");
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).expect("a document");
        let found = path.captures_iter(&text).map(|found| found[1].to_owned());
        missing.extend(
            found.filter(|path| !root().join(path).exists()).map(|path| format!("{document}: {path}")),
        );
    }
    assert!(missing.is_empty(), "not in the tree: {missing:#?}");
}

#[test]
fn each_hop_of_architecture_md_names_a_function_of_its_file() {
    let mut missing = Vec::new();
    let rows = tables("architecture.md", &["file", "function", "what it does"]);
    for row in &rows {
        let file = names(&row[0]).remove(0);
        let text = fs::read_to_string(root().join(&file)).unwrap_or_default();
        for name in names(&row[1]) {
            let function = name.rsplit("::").next().expect("a name");
            let defined = Regex::new(&format!(r"\bfn {function}\b")).expect("a pattern");
            if !defined.is_match(&text) {
                missing.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such function: {missing:#?}");
    assert!(rows.len() > 30, "six walks have more than {} hops", rows.len());
}
