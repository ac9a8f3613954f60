//! The messages of a room: publishes one, and reads the log.

use std::sync::Arc;

use parlor::{Broker, Delivery, Event, HistoryRange, Id, REDACTED, Refusal, Request, Response, StatusCode};
use serde::Serialize;

use super::body::Body;
use crate::api::publish_request::PublishRequest;
use crate::rooms::groups::MESSAGE_TYPE;
use crate::rooms::room::Room;

/// The most messages of one page, and the default.
const MAX_PAGE_MESSAGES: usize = 200;
const DEFAULT_PAGE_MESSAGES: usize = 50;
/// The most bytes of text in one page, without its first message.
const MAX_PAGE_TEXT_BYTES: usize = 1024 * 1024;

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
    text: &'a str,
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
    let (page, fit) = match (before, since) {
        (before, Some(since)) => {
            let mut page = layer.history(&group, HistoryRange::After(since)).await?;
            let is_before =
                |event: &Event| before.is_none_or(|before| event.position().is_some_and(|at| at.id < before));
            let within = page.events.partition_point(|event| is_before(event));
            page.more &= within == page.events.len();
            page.events.truncate(within);
            let fit = fit(page.events.iter()).min(limit);
            (page, 0..fit)
        }
        (before, None) => {
            let page = layer.history(&group, HistoryRange::Before(before, limit)).await?;
            let all = page.events.len();
            let fit = fit(page.events.iter().rev());
            (page, all - fit..all)
        }
    };
    let more = page.more || fit.len() < page.events.len();
    let messages = page.events[fit].iter().filter_map(|event| message(event)).collect();
    let past = Past { room: room.name(), messages, more, last: known(page.last) };
    Ok(super::answer(StatusCode::OK, &past))
}

fn message(event: &Event) -> Option<Message<'_>> {
    let stamp = event.position()?;
    let (text, removed) = match event.kind() {
        MESSAGE_TYPE => (event.text("message")?, false),
        REDACTED => ("", true),
        _ => return None,
    };
    let (user, name) = (event.text("user"), event.text("name"));
    Some(Message { id: stamp.id, prev: known(stamp.prev), at: stamp.id.millis(), user, name, text, removed })
}

/// Returns how many of these events fit into one response.
fn fit<'a>(events: impl Iterator<Item = &'a Arc<Delivery>>) -> usize {
    let mut bytes = 0;
    let mut fits = |event: &Event| {
        bytes += event.text("message").map_or(0, str::len);
        bytes <= MAX_PAGE_TEXT_BYTES
    };
    events.enumerate().take_while(|(at, event)| fits(event) || *at == 0).count()
}

/// Returns an id as clients see it: the position before the first message is `None`.
fn known(id: Id) -> Option<Id> {
    Some(id).filter(|id| *id != Id::START)
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
