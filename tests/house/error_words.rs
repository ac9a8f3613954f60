//! The error words of frames, which stand in the enum that defines them only.

use syn::Item;

use crate::prose::Prose;
use crate::source::Source;

/// The enum that defines them.
pub(crate) const ENUM: &str = "FrameErrorCode";
/// Words of the same spelling with another meaning, by the end of the file's path.
const OTHER_MEANINGS: [(&str, &str); 3] = [
    // Reasons of the metrics.
    ("telemetry/labels.rs", "malformed"),
    ("telemetry/labels.rs", "unknown_type"),
    // A status that a script of Redis returns.
    ("redis/publish_batch.rs", "conflict"),
];

/// The error words of frames, and the file of their enum.
#[derive(Debug)]
pub(crate) struct ErrorWords {
    path: String,
    words: Vec<String>,
}

impl ErrorWords {
    /// Takes the word of each variant of the enum with this name.
    ///
    /// Panics when no file defines the enum, and when a variant has no word there: the rule would
    /// look for nothing.
    pub(crate) fn of_enum(name: &str, sources: &[Source]) -> Self {
        let variants = |source: &Source| {
            source.syntax.items.iter().find_map(|item| match item {
                Item::Enum(item) if item.ident == name => {
                    Some(item.variants.iter().map(|variant| snake_case(&variant.ident.to_string())).collect())
                }
                _ => None,
            })
        };
        let mut found = sources.iter().filter_map(|source| Some((source, variants(source)?)));
        let (source, words): (&Source, Vec<String>) =
            found.next().unwrap_or_else(|| panic!("no enum `{name}`"));
        let texts = Prose::texts(source);
        for word in &words {
            let is_there = texts.lines.iter().any(|(_, text)| text == word);
            assert!(is_there, "{}: no text `{word}` for its variant", source.path);
        }
        Self { path: source.path.clone(), words }
    }

    /// Lists the texts of code, which is no test, that are one of these words.
    pub(crate) fn find(&self, source: &Source) -> Vec<String> {
        if source.path == self.path || is_for_tests(&source.path) {
            return Vec::new();
        }
        let is_word = |text: &String| self.words.contains(text) && !has_other_meaning(&source.path, text);
        let texts = Prose::texts(source).lines.into_iter();
        let found = texts.filter(|(_, text)| is_word(text));
        found.map(|(number, text)| format!("{}:{number}: \"{text}\"", source.path)).collect()
    }
}

fn has_other_meaning(path: &str, word: &str) -> bool {
    OTHER_MEANINGS.iter().any(|(end, other)| path.ends_with(end) && *other == word)
}

/// Whether a file belongs to a module that its parent compiles for tests and fuzzing only.
fn is_for_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/fuzzing/")
}

/// Formats the name of a variant as its word: `TooLarge` as `too_large`.
fn snake_case(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}
