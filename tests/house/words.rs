//! Words that do not belong: in prose, and in the runtime.

use crate::prose::Prose;
use crate::source::read;

/// Nouns that make the verb `push` the application's.
const PUSHED: [&str; 10] =
    ["button", "event", "line", "message", "page", "route", "socket", "start", "stop", "stream"];
/// What the application is about, in its other language.
const CHINESE: [&str; 4] = ["消息", "推送", "房间", "聊天"];

/// Words that are not to be used, with what to write instead.
pub(crate) struct StopWords(Vec<(Vec<String>, String)>);

impl StopWords {
    /// Reads `words.txt`.
    pub(crate) fn read() -> Self {
        Self::parse(&read("tests/house/words.txt"))
    }

    /// Parses lines: a phrase, two spaces or more, and what to write instead.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(
            lines
                .map(|line| {
                    let (phrase, instead) =
                        line.split_once("  ").expect("a phrase and what to write instead");
                    (phrase.split(' ').map(str::to_owned).collect(), instead.trim().to_owned())
                })
                .collect(),
        )
    }

    /// Lists each use of them.
    pub(crate) fn find(&self, prose: &Prose) -> Vec<String> {
        let words: Vec<(usize, &str, String)> = prose
            .lines
            .iter()
            .flat_map(|(number, line)| words(line).map(move |word| (*number, line.as_str(), word)))
            .collect();
        let mut found = Vec::new();
        for (at, (number, line, _)) in words.iter().enumerate() {
            for (phrase, instead) in &self.0 {
                let matched =
                    phrase.iter().zip(&words[at..]).filter(|(word, (_, _, found))| *word == found).count();
                if matched == phrase.len() {
                    let phrase = phrase.join(" ");
                    found.push(format!("{}:{number}: {phrase} ({instead}): {}", prose.path, line.trim()));
                }
            }
        }
        found
    }
}

fn words(line: &str) -> impl Iterator<Item = String> {
    let words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Lists the lines that speak of what one application does: chat, rooms, push.
pub(crate) fn of_the_application(prose: &Prose) -> Vec<String> {
    let lines = prose.lines.iter().filter(|(_, line)| {
        // Operators know the setting by this name.
        let line = line.replace("long = \"address-rooms\"", "long");
        let quoted = line.contains("\"push") || line.contains("/push");
        quoted || CHINESE.iter().any(|word| line.contains(word)) || names_chat(&line)
    });
    lines.map(|(number, line)| format!("{}:{number}: {}", prose.path, line.trim())).collect()
}

/// Whether a line has the word `chat`, `lobby`, `room` or, with its noun, `push`: alone or in a
/// name.
fn names_chat(line: &str) -> bool {
    let parts = parts(line);
    parts
        .iter()
        .any(|(part, _)| part.contains("chat") || part.contains("lobby") || part == "room" || part == "rooms")
        || parts.windows(2).any(|pair| {
            let noun = pair[1].0.trim_end_matches('s');
            pair[0].0 == "push" && matches!(pair[1].1, '_' | ' ') && PUSHED.contains(&noun)
        })
}

/// Splits a line into the words that it and its names are made of, each with the letter before it.
fn parts(line: &str) -> Vec<(String, char)> {
    let mut parts: Vec<(String, char)> = Vec::new();
    let mut before = '\n';
    for letter in line.chars() {
        if letter.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (before.is_lowercase() && letter.is_uppercase());
            if begins {
                parts.push((String::new(), before));
            }
            if let Some((part, _)) = parts.last_mut() {
                part.extend(letter.to_lowercase());
            }
        }
        before = letter;
    }
    parts
}
