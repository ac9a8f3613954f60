//! The log on stderr, and the lines that a program prints beside it, in one format.

use std::fmt;
use std::io::Write as _;

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

impl LogFormat {
    /// Prints why the program ends, on stderr.
    pub(crate) fn print_failure(self, program: &str, why: &str) {
        let line = match self {
            Self::Text => format!("{program}: {why}"),
            Self::Json => object("ERROR", program, why),
        };
        let _ = writeln!(std::io::stderr(), "{line}"); // the pipe may be closed
    }

    /// Prints an address that the node listens on, on stdout.
    pub(crate) fn print_address(self, program: &str, address: std::net::SocketAddr) {
        let text = format!("listening on http://{address}");
        let line = match self {
            Self::Text => text,
            Self::Json => object("INFO", program, &text),
        };
        let _ = writeln!(std::io::stdout(), "{line}"); // the pipe may be closed
    }
}

/// Returns a line as the log writes it in JSON.
fn object(level: &str, target: &str, message: &str) -> String {
    let timestamp = format!("{:.6}", Timestamp::now());
    json!({ "timestamp": timestamp, "level": level, "message": message, "target": target }).to_string()
}

/// Writes the log to stderr from now on. Only the first call counts.
pub(crate) fn init(filter: EnvFilter, format: LogFormat) {
    // A closed stderr must not make the node panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // A second start in one process, as in tests, keeps the first log.
    let _ = match format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// An error with its causes on one line: `what: why: why`.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries include the cause in their own text.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            cause = error.source();
        }
        Ok(())
    }
}
