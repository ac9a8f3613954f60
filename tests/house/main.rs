//! Holds the source to the rules of the house. Each test is one rule, and lists each line that
//! breaks it; `planted.rs` shows that the rules find what they are for.

mod graph;
mod imports;
mod layers;
mod modules;
mod planted;
mod source;
mod visitor;

use crate::layers::Layers;
use crate::modules::Crate;

/// Fails with every finding, one a line.
fn hold(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n    {}", findings.join("\n    "));
}

#[test]
fn imports_of_the_library_point_down() {
    let library = Crate::load("src", "lib.rs");
    let layers = Layers::read("src");
    hold("a folder imports only those before it in layers.txt", &imports::upward(&library, &layers));
}

#[test]
fn circles_of_files_are_small() {
    let library = Crate::load("src", "lib.rs");
    hold("at most three files may import one another", &imports::circles(&library));
}
