//! A message that a program publishes, at most once under its idempotency key.

use parlor::{Appended, Id, Refusal, Request, StatusCode};

use super::body::Body;
use crate::chat::channel;
use crate::protocols::v1::client_frame;
use crate::rooms::room::Room;

/// A message to publish in one room or in many.
pub(super) struct PublishRequest {
    text: String,
    key: Option<String>,
}

/// A published message.
pub(super) struct Done {
    pub(super) id: Id,
    /// Whether it was published before, under the same key.
    pub(super) duplicate: bool,
}

impl PublishRequest {
    /// Reads the member `message` of the body and the header `Idempotency-Key`.
    pub(super) fn from_request(request: &Request, body: &mut Body) -> Result<Self, Refusal> {
        let key = request.only_header("Idempotency-Key")?;
        if key.is_some_and(|key| !client_frame::is_id(key)) {
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

    /// Publishes the message in this room.
    pub(super) async fn publish_in(&self, request: &Request, room: &Room) -> Result<Done, Refusal> {
        let event = channel::message(&self.text);
        let (context, key) = (request.context(), self.key.as_deref());
        match context.append_from(request.identity(), &room.chat_group(), &event, key).await? {
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
    /// 201, or 200 for a duplicate.
    pub(super) fn status(&self) -> StatusCode {
        if self.duplicate { StatusCode::OK } else { StatusCode::CREATED }
    }
}
