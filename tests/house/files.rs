//! How files look, and how they are called.

use crate::prose::Prose;
use crate::source::Source;
use crate::test_names::test_names;

/// Columns of a line that has a comment.
const MAX_COMMENT_COLUMNS: usize = 100;
/// Characters of a test's name.
const MAX_TEST_NAME_CHARS: usize = 70;
/// Lines of a file: more hold a second noun.
const MAX_FILE_LINES: usize = 600;
/// Names that say nothing of what is inside.
const VAGUE: [&str; 11] = [
    "common", "core", "helper", "helpers", "manager", "misc", "service", "services", "types", "util", "utils",
];

/// Lists the lines with a comment that are too wide.
pub(crate) fn wide_comments(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let columns = |number: usize| lines[number - 1].chars().count();
    let comments = Prose::comments(source).lines.into_iter();
    let wide = comments.filter(|(number, _)| columns(*number) > MAX_COMMENT_COLUMNS);
    wide.map(|(number, text)| format!("{}:{number}: {} columns: {text}", source.path, columns(number)))
        .collect()
}

/// Lists the tests whose names are too long.
pub(crate) fn long_test_names(source: &Source) -> Vec<String> {
    let names = test_names(source).into_iter();
    let long = names.filter(|(_, name)| name.chars().count() > MAX_TEST_NAME_CHARS);
    long.map(|(line, name)| format!("{}:{line}: {} characters: {name}", source.path, name.len())).collect()
}

/// Says what is wrong with a file's first line and its length.
pub(crate) fn shape(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let first = source.text.lines().next().unwrap_or_default();
    let sentence = first.strip_prefix("//! ").and_then(|line| line.chars().next());
    if !sentence.is_some_and(|letter| letter.is_uppercase() || letter == '`') {
        found.push(format!("{}:1: {first}", source.path));
    }
    let lines = source.text.lines().count();
    if lines > MAX_FILE_LINES {
        found.push(format!("{}: {lines} lines", source.path));
    }
    found
}

/// Returns a path that has a part which says nothing.
pub(crate) fn vague(path: &str) -> Option<String> {
    let mut parts = path.split('/').map(|part| part.split('.').next().unwrap_or(part));
    parts.any(|part| VAGUE.contains(&part)).then(|| path.to_owned())
}
