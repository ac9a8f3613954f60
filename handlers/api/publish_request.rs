//! PublishRequest something in a room as another program does: once, under an idempotency key if it has one.

use parlor::{Appended, Id, Refusal, Request, StatusCode};

use super::body::Body;
use crate::chat::client_frame as said;
use crate::chat::v1 as chat;
use crate::rooms::access::Room;

/// What is to be said, in one room or in many.
pub(super) struct PublishRequest {
    text: String,
    key: Option<String>,
}

/// It was said.
pub(super) struct Done {
    pub(super) id: Id,
    /// Before, under the same key.
    pub(super) duplicate: bool,
}

impl PublishRequest {
    /// Takes the member `message` of the body, and the header `Idempotency-Key`.
    pub(super) fn of(request: &Request, body: &mut Body) -> Result<Self, Refusal> {
        let key = request.only_header("Idempotency-Key")?;
        if key.is_some_and(|key| !said::is_id(key)) {
            let detail = "`Idempotency-Key`: expected 1 to 64 letters, digits, `-` or `_` of ASCII";
            return Err(Refusal::bad_request(detail));
        }
        let (text, max) = (body.text("message")?, request.context().config().max_message_bytes);
        if text.len() > max {
            let detail = format!("`message`: expected at most {max} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(Self { text, key: key.map(str::to_owned) })
    }

    /// Says it in this room.
    pub(super) async fn said_in(&self, request: &Request, room: &Room) -> Result<Done, Refusal> {
        let event = chat::message(&self.text);
        match request.append(&room.chat_group(), &event, self.key.as_deref()).await? {
            Appended::New(id) => Ok(Done { id, duplicate: false }),
            Appended::Duplicate(id) => Ok(Done { id, duplicate: true }),
            Appended::Conflict => {
                let detail = "`Idempotency-Key`: used for another message less than five minutes ago";
                Err(Refusal::new(StatusCode::CONFLICT, detail))
            }
        }
    }
}

impl Done {
    /// 201; 200 if it was there already.
    pub(super) fn status(&self) -> StatusCode {
        if self.duplicate { StatusCode::OK } else { StatusCode::CREATED }
    }
}
