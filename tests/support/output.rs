//! The lines that a process has written, collected by a thread so that a full pipe never blocks it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::wait::{holds, until};

#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    lines: Vec<String>,
    /// The process has closed its end: no line will follow.
    closed: bool,
}

impl Output {
    /// Starts a thread that reads the pipe to its end.
    pub fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let mine = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                mine.0.lock().unwrap().lines.push(line);
            }
            mine.0.lock().unwrap().closed = true;
        });
        lines
    }

    /// Every line so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.clone()
    }

    /// Every line so far, as one text.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// The number of lines so far, for [`Output::since`].
    pub fn mark(&self) -> usize {
        self.0.lock().unwrap().lines.len()
    }

    /// The lines after the mark.
    pub fn since(&self, mark: usize) -> Vec<String> {
        self.0.lock().unwrap().lines.get(mark..).unwrap_or_default().to_vec()
    }

    /// The last lines for the report of a failed test.
    pub fn tail(&self, count: usize) -> String {
        let all = self.all();
        let from = all.len().saturating_sub(count);
        all[from..].join("\n")
    }

    /// Waits for a line that fulfils the condition and returns the first one.
    pub async fn wait_for(&self, what: &str, limit: Duration, condition: impl Fn(&str) -> bool) -> String {
        until(limit, what, async || {
            let state = self.0.lock().unwrap();
            match state.lines.iter().find(|line| condition(line)) {
                Some(line) => Ok(line.clone()),
                None if state.closed => {
                    panic!("no {what}: the process closed its pipe after {:?}", state.lines)
                }
                None => Err(format!("{:?}", state.lines)),
            }
        })
        .await
    }

    /// Waits until the process has closed its end, so that [`Output::all`] is complete.
    pub async fn wait_for_end(&self, limit: Duration) {
        until(limit, "the end of the process' output", async || {
            let state = self.0.lock().unwrap();
            holds(state.closed, || format!("{:?}", state.lines))
        })
        .await;
    }
}
