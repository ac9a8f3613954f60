//! The position in a log from which a client wants events.

use crate::http::request::Request;
use crate::http::response::Refusal;
use crate::realtime::command::{Join, Since, StreamPosition};
use crate::wire::id::{Id, ParseIdError};

/// The most messages that `history` may request.
const MAX_HISTORY_MESSAGES: usize = 1000;

/// The position in the log from which a client wants events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartPosition {
    pub(crate) since: Option<Result<Id, ParseIdError>>,
    /// The same by number.
    pub(crate) offset: Option<StreamPosition>,
    pub(crate) history: Option<usize>,
    /// See [`Join::requires_recovery`].
    pub(crate) requires_recovery: bool,
    /// The client's number of the join.
    pub(crate) number: u32,
}

impl StartPosition {
    /// Starts at the end of the log.
    pub(crate) fn now() -> Self {
        Self { since: None, offset: None, history: None, requires_recovery: false, number: 0 }
    }

    /// Returns where a join with this number starts.
    pub(crate) fn from_join(number: u32, join: &Join<'_>) -> Self {
        let (since, offset) = match &join.since {
            None => (None, None),
            Some(Since::Id(id)) => (Some(id.parse()), None),
            Some(Since::Offset(position)) => (None, Some(*position)),
        };
        let history = join.history.map(|count| count.min(MAX_HISTORY_MESSAGES));
        Self { since, offset, history, requires_recovery: join.requires_recovery, number }
    }

    /// Starts at the end of the log, for a join with this number.
    pub(crate) fn now_for(number: u32) -> Self {
        Self { number, ..Self::now() }
    }

    /// Returns whether messages have to be read.
    pub(crate) fn reads(&self) -> bool {
        self.since.is_some() || self.offset.is_some() || self.history.is_some_and(|count| count > 0)
    }

    /// Parses the request: `since` (or `Last-Event-ID`) is the id of the client's last message,
    /// `history` the number of newest messages that it wants.
    ///
    /// # Errors
    /// Returns 400 when `history` is not a number, or is too large.
    pub(crate) fn from_request(request: &Request) -> Result<Self, Refusal> {
        let since = request.header("last-event-id").map(str::to_owned).or_else(|| request.query("since"));
        let history = match request.query("history").map(|text| text.parse::<usize>()) {
            None => None,
            Some(Ok(count)) if count <= MAX_HISTORY_MESSAGES => Some(count),
            Some(_) => {
                return Err(Refusal::bad_request(format!(
                    "`history`: expected a number up to {MAX_HISTORY_MESSAGES}"
                )));
            }
        };
        Ok(Self { since: since.map(|since| since.parse()), history, ..Self::now() })
    }
}
