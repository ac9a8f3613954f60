//! Where a socket begins, and what it gets first.

use crate::http::request::Request;
use crate::http::response::Refusal;
use crate::layer::PresenceSnapshot;
use crate::telemetry::Recovery;
use crate::wire::id::{Id, ParseIdError};

/// Most messages of the past that a socket may ask for.
const MOST: usize = 1000;

/// Where a socket wants to begin.
#[derive(Clone, Copy, Debug)]
pub struct StartPosition {
    pub(crate) since: Option<Result<Id, ParseIdError>>,
    pub(crate) history: Option<usize>,
}

impl StartPosition {
    /// From now on, without anything of the past.
    pub fn now() -> Self {
        Self { since: None, history: None }
    }

    /// What the request says: `?since=` (or `Last-Event-ID`) the last message that the client has, `?history=` how many
    /// of the newest it wants.
    ///
    /// # Errors
    /// 400 for a `history` that is no number.
    pub fn of(request: &Request) -> Result<Self, Refusal> {
        let since = request.header("last-event-id").map(str::to_owned).or_else(|| request.query("since"));
        let history = match request.query("history").map(|text| text.parse::<usize>()) {
            None => None,
            Some(Ok(count)) if count <= MOST => Some(count),
            Some(_) => {
                return Err(Refusal::bad_request(format!("`history`: expected a number up to {MOST}")));
            }
        };
        Ok(Self { since: since.map(|since| since.parse()), history })
    }
}

/// What a socket is told first.
pub struct Welcome {
    /// The node's name.
    pub node: String,
    /// The id of the newest message.
    pub last: Id,
    /// Whether everything since the client's position follows, or why not.
    pub recovery: Recovery,
    /// Who is in the group, the client included.
    pub presence: PresenceSnapshot,
}
