//! Holds the source to the rules of the house. Each test is one rule, and lists each line that
//! breaks it; `planted.rs` shows that the rules find what they are for.

mod error_words;
mod files;
mod graph;
mod imports;
mod layers;
mod literals;
mod modules;
mod planted;
mod prose;
mod source;
mod test_names;
mod visitor;
mod words;

use crate::error_words::ErrorWords;
use crate::layers::Layers;
use crate::modules::Crate;
use crate::prose::Prose;
use crate::source::{Source, ends, files_below};
use crate::words::StopWords;

/// Folders with Rust code of this package.
const RUST: [&str; 6] = ["src", "handlers", "tests", "benches", "examples", "fuzz/fuzz_targets"];
/// Folders with Rust code that people see the texts of.
const TEXTS: [&str; 2] = ["src", "handlers"];
/// Crates that only the runtime may name.
const BELOW: [&str; 8] = [
    "hyper",
    "hyper_util",
    "hyper_tungstenite",
    "http_body_util",
    "redis",
    "deadpool_redis",
    "tungstenite",
    "tokio_tungstenite",
];
/// The table of close codes.
const CLOSE_CODES: &str = "src/wire/close.rs";
/// Other files and folders that are prose, or have comments.
const PROSE: [&str; 14] = [
    ".ci",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "clients",
    "deny.toml",
    "deploy",
    "docs",
    "fuzz/README.md",
    "static",
    "tests/install.sh",
];
/// Endings of their names that are text.
const WRITTEN: [&str; 10] = ["md", "js", "css", "sh", "conf", "service", "lua", "toml", "run", "Makefile"];

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

#[test]
fn imports_of_the_application_point_down() {
    let application = Crate::load("handlers", "main.rs");
    let layers = Layers::read("handlers");
    hold("a folder imports only those before it in layers.txt", &imports::upward(&application, &layers));
    hold("at most three files may import one another", &imports::circles(&application));
}

#[test]
fn the_application_names_no_crate_below_the_runtime() {
    let application = Crate::load("handlers", "main.rs");
    hold("handlers/ asks the runtime for what is missing", &imports::of_crates(&application, &BELOW));
}

#[test]
fn the_runtime_knows_no_word_of_the_application() {
    let mut texts: Vec<_> = Source::below("src").iter().map(Prose::without_tests).collect();
    texts.extend(files_below("src").iter().filter(|path| ends(path, "lua")).map(|path| Prose::of_file(path)));
    hold(
        "src/ serves any application",
        &texts.iter().flat_map(words::of_the_application).collect::<Vec<_>>(),
    );
}

/// One test for all that is asked of each file, since parsing them all takes longer than the rules.
#[test]
fn files_are_written_as_the_house_writes() {
    let words = StopWords::read();
    let mut shapes = Vec::new();
    let mut wide = Vec::new();
    let mut long_names = Vec::new();
    let mut stop_words = Vec::new();
    for source in RUST.iter().flat_map(|folder| Source::below(folder)) {
        shapes.extend(files::shape(&source));
        wide.extend(files::wide_comments(&source));
        long_names.extend(files::long_test_names(&source));
        stop_words.extend(words.find(&Prose::comments(&source)));
        stop_words.extend(words.find(&test_names::sentences(&source)));
        if TEXTS.iter().any(|folder| source.path.starts_with(folder)) {
            stop_words.extend(words.find(&Prose::texts(&source)));
        }
    }
    stop_words.extend(documents().iter().flat_map(|document| words.find(document)));
    hold("a file begins with a sentence after `//!` and has 600 lines at most", &shapes);
    hold("a line with a comment has 100 columns at most", &wide);
    hold("the name of a test has 70 characters at most", &long_names);
    hold("tests/house/words.txt says what to write instead", &stop_words);
}

#[test]
fn files_and_folders_are_named_by_their_noun() {
    let all = RUST.iter().chain(&["static", "templates"]).flat_map(|folder| files_below(folder));
    hold("a name says what is in it", &all.filter_map(|path| files::vague(&path)).collect::<Vec<_>>());
}

/// Reads the files of `PROSE`, and the scripts of Redis.
fn documents() -> Vec<Prose> {
    let mut files: Vec<String> = PROSE.iter().flat_map(|folder| files_below(folder)).collect();
    files.extend(files_below("src").into_iter().filter(|path| ends(path, "lua")));
    files.retain(|path| WRITTEN.iter().any(|end| ends(path, end)));
    files.iter().map(|path| Prose::of_file(path)).collect()
}

#[test]
fn close_codes_stand_in_their_table() {
    let sources = TEXTS.iter().flat_map(|folder| Source::below(folder));
    let others = sources.filter(|source| source.path != CLOSE_CODES);
    let found: Vec<_> = others.flat_map(|source| literals::close_codes(&source)).collect();
    hold("a close code is a `CloseCode`, whose number stands in its table only", &found);
}

#[test]
fn error_words_of_frames_stand_in_their_enum() {
    let sources: Vec<Source> = TEXTS.iter().flat_map(|folder| Source::below(folder)).collect();
    let words = ErrorWords::of_enum(error_words::ENUM, &sources);
    let found: Vec<_> = sources.iter().flat_map(|source| words.find(source)).collect();
    hold("an error word of frames is a `FrameErrorCode`, whose word stands beside it only", &found);
}

#[test]
fn inherent_impls_stand_beside_their_type() {
    let library = Crate::load("src", "lib.rs");
    let application = Crate::load("handlers", "main.rs");
    hold("an inherent impl stands in the folder of its type", &imports::foreign_impls(&library));
    hold("an inherent impl stands in the folder of its type", &imports::foreign_impls(&application));
}
