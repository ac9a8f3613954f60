//! The end of a group's log, and what was redacted in it: what a node asks when it subscribes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::layer::redis::keys::Keys;
use crate::layer::redis::resp::{self, Value};
use crate::layer::redis::scripts::Scripts;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// Redactions that the pipeline asks for: large answers use another connection.
const MAX_PIPELINED_REDACTIONS: usize = 100;

/// The id of a log's newest event, and its redactions.
pub(super) type LogEnd = (Id, BTreeSet<Id>);

/// Encodes calls of `log_end.lua` for the pipeline: behind a `SUBSCRIBE`, with no hole in between.
pub(super) struct LogEndEncoder {
    scripts: Arc<Scripts>,
    keys: Keys,
}

impl LogEndEncoder {
    pub(super) fn new(scripts: Arc<Scripts>, keys: Keys) -> Self {
        Self { scripts, keys }
    }

    /// Writes the command that asks for the end of a group's log.
    pub(super) fn encode(&self, group: &Group, out: &mut Vec<u8>) {
        let (log, redactions) = (self.keys.log(group), self.keys.redactions(group));
        let most = MAX_PIPELINED_REDACTIONS.to_string();
        let parts =
            ["EVALSHA", self.scripts.log_end.hash(), "2", log.as_str(), redactions.as_str(), most.as_str()];
        resp::command(out, &parts.map(str::as_bytes));
    }

    /// Parses the reply; `None` for a refusal, and where the log may have more redactions.
    pub(super) fn parse(reply: &Value<'_>) -> Option<LogEnd> {
        let Value::List(values) = reply else { return None };
        let texts: Option<Vec<String>> = values.iter().map(|value| value.text().map(str::to_owned)).collect();
        texts.filter(|texts| texts.len() <= MAX_PIPELINED_REDACTIONS).and_then(|texts| end_from(&texts))
    }
}

/// Parses what `log_end.lua` returns.
pub(super) fn end_from(texts: &[String]) -> Option<LogEnd> {
    let (newest, redacted) = texts.split_first()?;
    Some((newest.parse().unwrap_or(Id::START), ids(redacted)))
}

/// Parses redactions. Ignores a member that is no id: only ids name events, so it redacts none, and
/// it must not make the log unreadable.
pub(super) fn ids(texts: &[String]) -> BTreeSet<Id> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}
