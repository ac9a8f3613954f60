//! The messages of a room: publishes one, and reads the log.

use parlor::{Broker, Channel, Event, HistoryRange, Id, Refusal, Request, Response, StatusCode, View};
use serde::Serialize;
use serde_json::value::RawValue;

use super::body::Body;
use crate::api::publish_request::PublishRequest;
use crate::chat::channel::Chat;
use crate::protocols::v1::server_frame::known;
use crate::rooms::room::Room;

/// The most messages of one page, and the default.
const MAX_PAGE_MESSAGES: usize = 200;
const DEFAULT_PAGE_MESSAGES: usize = 50;

#[derive(Serialize)]
struct Receipt<'a> {
    room: &'a str,
    id: Id,
    duplicate: bool,
}

#[derive(Serialize)]
struct Past<'a> {
    room: &'a str,
    messages: Vec<Message<'a>>,
    more: bool,
    last: Option<Id>,
}

/// A message with the members that it has on `parlor.v1`.
#[derive(Serialize)]
struct Message<'a> {
    id: Id,
    prev: Option<Id>,
    at: u64,
    user: Option<&'a str>,
    name: Option<&'a str>,
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    /// Whether an operator redacted its text.
    removed: bool,
}

/// `POST /api/rooms/{room}/messages`.
pub(crate) async fn publish(request: Request) -> Result<Response, Refusal> {
    let room = Room::from_api_path(&request).await?;
    let mut body = Body::from_request(&request)?;
    let publish = PublishRequest::from_request(&request, &mut body)?;
    body.end()?;
    let done = publish.publish_in(&request, &room).await?;
    let receipt = Receipt { room: room.name(), id: done.id, duplicate: done.duplicate };
    Ok(super::answer(done.status(), &receipt))
}

/// Answers `GET /api/rooms/{room}/messages`: the newest, the newest before an id, or the oldest
/// after one; the oldest of them first.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let room = Room::from_api_path(&request).await?;
    let (before, since, limit) = (id(&request, "before")?, id(&request, "since")?, limit(&request)?);
    let (layer, group) = (request.context().layer(), room.chat_group());
    let page = match since {
        Some(since) => {
            let mut page = layer.history(&group, HistoryRange::Since(since)).await?;
            let is_before =
                |event: &Event| before.is_none_or(|before| event.position().is_some_and(|at| at.id < before));
            let within = page.events.partition_point(|event| is_before(event));
            page.more &= within == page.events.len();
            page.more |= within > limit;
            page.events.truncate(within.min(limit));
            page
        }
        None => layer.history(&group, HistoryRange::Before(before, limit)).await?,
    };
    let messages = page.events.iter().filter_map(|event| message(event)).collect();
    let past = Past { room: room.name(), messages, more: page.more, last: known(page.last) };
    Ok(super::answer(StatusCode::OK, &past))
}

fn message(event: &Event) -> Option<Message<'_>> {
    let Some(View::Message(message)) = Chat::view(event) else { return None };
    let position = message.position?;
    Some(Message {
        id: position.id,
        prev: known(position.prev),
        at: position.id.millis(),
        user: message.user,
        name: message.name,
        text: Some(message.text).filter(|_| !message.has_only_data()),
        event: message.event,
        data: message.data,
        removed: message.is_redacted,
    })
}

fn id(request: &Request, name: &str) -> Result<Option<Id>, Refusal> {
    let id = request.query(name).map(|text| text.parse());
    id.transpose().map_err(|_| Refusal::bad_request(format!("`{name}`: expected a message's id")))
}

fn limit(request: &Request) -> Result<usize, Refusal> {
    let Some(text) = request.query("limit") else { return Ok(DEFAULT_PAGE_MESSAGES) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE_MESSAGES).contains(limit));
    limit.ok_or_else(|| {
        Refusal::bad_request(format!("`limit`: expected a number from 1 to {MAX_PAGE_MESSAGES}"))
    })
}
