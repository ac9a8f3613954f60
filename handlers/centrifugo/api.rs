//! The server API under Centrifugo's names: `POST /centrifugo/api/<method>`, as
//! [`docs/centrifugo.md`](../../docs/centrifugo.md) describes it.
//!
//! Every answer to a program with a key is a 200 with a `result` or an `error`. What a method does
//! not offer is an error, and never ignored.

use std::collections::BTreeMap;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use parlor::{
    Appended, Broker, CloseCode, Control, Denied, HistoryRange, Presence, Refusal, Request, Response, Role,
    StatusCode, StreamPosition, connections_in, read_log,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::chat::channel::{self, Chat};
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::centrifugo::position::{epoch, position};
use crate::protocols::centrifugo::replies::{MAX_PUBLICATIONS, raw};
use crate::protocols::centrifugo::requests::text_of;
use crate::protocols::centrifugo::{VERSION, channel as channels, replies};
use crate::protocols::streams::CHAT;
use crate::rooms::room::Room;
use crate::rooms::{groups, name};
use crate::scopes::{DISCONNECT, PUBLISH, READ};

/// The most channels of a broadcast, and commands of a batch.
const MAX_ITEMS: usize = 100;

/// What a method returns.
type Answer = Box<RawValue>;

/// What the methods take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Params {
    channel: Option<String>,
    channels: Option<Vec<String>>,
    data: Option<Box<RawValue>>,
    idempotency_key: Option<String>,
    skip_history: bool,
    user: Option<String>,
    limit: i64,
    since: Option<Since>,
    reverse: bool,
    commands: Option<Vec<BTreeMap<String, Box<RawValue>>>>,
    parallel: bool,
}

#[derive(Deserialize)]
struct Since {
    offset: u64,
    epoch: String,
}

/// Answers `POST /centrifugo/api/{method}`.
///
/// # Errors
/// Returns 401 for clients that have no API key and are no operators.
pub(crate) async fn call(request: Request) -> Result<Response, Refusal> {
    if request.identity().role() != Role::Key && !request.identity().is_staff() {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "`X-API-Key`: expected an API key"));
    }
    let method = request.param("method").unwrap_or_default();
    let body = if request.body().is_empty() { b"{}" } else { request.body() };
    Ok(Response::json(outcome("result", run(&request, method, body).await).get()))
}

/// Returns an object with what a method returned under this name, or with an `error`.
fn outcome(name: &str, result: Result<Answer, ErrorCode>) -> Answer {
    raw(&match result {
        Ok(result) => BTreeMap::from([(name, result)]),
        Err(code) => BTreeMap::from([("error", replies::api_error(code))]),
    })
}

/// Carries out a method. Boxed: a batch has others in it.
fn run<'a>(
    request: &'a Request,
    method: &'a str,
    body: &'a [u8],
) -> BoxFuture<'a, Result<Answer, ErrorCode>> {
    async move {
        let params = serde_json::from_slice(body).map_err(|_| ErrorCode::BadRequest)?;
        let scope = match method {
            "publish" | "broadcast" => PUBLISH,
            "presence" | "presence_stats" | "history" | "channels" | "info" => READ,
            "disconnect" | "unsubscribe" => DISCONNECT,
            "batch" => return batch(request, params).await,
            // What Parlor has no counterpart of.
            "subscribe" | "refresh" | "history_remove" | "rpc" => return Err(ErrorCode::NotAvailable),
            _ => return Err(ErrorCode::MethodNotFound),
        };
        if !request.identity().may(scope) && !request.identity().is_staff() {
            return Err(ErrorCode::PermissionDenied);
        }
        match method {
            "publish" => publish(request, &params).await,
            "broadcast" => broadcast(request, params).await,
            "presence" | "presence_stats" => presence(request, &params, method == "presence_stats").await,
            "history" => history(request, &params).await,
            "channels" => list(request).await,
            "info" => info(request).await,
            _ => end(request, &params, method == "unsubscribe").await,
        }
    }
    .boxed()
}

async fn room(request: &Request, channel: Option<&str>) -> Result<Room, ErrorCode> {
    let target = channels::target(channel.ok_or(ErrorCode::BadRequest)?).ok_or(ErrorCode::BadRequest)?;
    if target.stream != CHAT {
        return Err(ErrorCode::UnknownChannel);
    }
    let room = Room::find_for_api(request.context(), &channels::room(&target.name)).await;
    room.map_err(|denied| match denied {
        Denied::Layer(error) => ErrorCode::from(&error),
        _ => ErrorCode::UnknownChannel,
    })
}

async fn publish(request: &Request, params: &Params) -> Result<Answer, ErrorCode> {
    request.charge_item().map_err(|_| ErrorCode::TooManyRequests)?;
    let data = params.data.as_ref().ok_or(ErrorCode::BadRequest)?.get();
    if data.len() > request.context().config().max_message_bytes {
        return Err(ErrorCode::BadRequest);
    }
    let room = room(request, params.channel.as_deref()).await?;
    let (context, group) = (request.context(), room.chat_group());
    let message = channel::message(&text_of(data), Some(data), None);
    if params.skip_history {
        context.publish(&group, &message).await.map_err(|error| ErrorCode::from(&error))?;
        return Ok(raw(&json!({})));
    }
    let key = params.idempotency_key.as_deref();
    let appended = context.append_from(request.identity(), &group, &message, key).await;
    let id = match appended.map_err(|error| ErrorCode::from(&error))? {
        Appended::New(id) | Appended::Duplicate(id) => id,
        Appended::Conflict => return Err(ErrorCode::BadRequest),
    };
    // It is among the newest, unless many were published meanwhile.
    let page = context.layer().history(&group, HistoryRange::Before(None, 16)).await;
    let positions = page.iter().flat_map(|page| &page.events).filter_map(|event| event.position());
    let offset = positions.filter(|position| position.id == id).find_map(|position| position.offset);
    Ok(raw(&match offset {
        Some(offset) => json!({ "offset": offset.n, "epoch": epoch(offset.epoch) }),
        None => json!({}),
    }))
}

async fn broadcast(request: &Request, params: Params) -> Result<Answer, ErrorCode> {
    let channels = params.channels.as_ref().filter(|channels| (1..=MAX_ITEMS).contains(&channels.len()));
    let channels = channels.ok_or(ErrorCode::BadRequest)?;
    let each = channels.iter().map(|channel| {
        let params = Params {
            channel: Some(channel.clone()),
            data: params.data.clone(),
            idempotency_key: params.idempotency_key.clone(),
            skip_history: params.skip_history,
            ..Params::default()
        };
        async move { outcome("result", publish(request, &params).await) }
    });
    Ok(raw(&BTreeMap::from([("responses", join_all(each).await)])))
}

async fn presence(request: &Request, params: &Params, is_count: bool) -> Result<Answer, ErrorCode> {
    let room = room(request, params.channel.as_deref()).await?;
    let context = request.context();
    if !name::options(context, room.name()).lists_connections() {
        return Err(ErrorCode::NotAvailable);
    }
    let connections = connections_in(context, &room.chat_group()).await;
    let connections = connections.map_err(|error| ErrorCode::from(&error))?;
    replies::presence(&connections, is_count).ok_or(ErrorCode::NotAvailable)
}

async fn history(request: &Request, params: &Params) -> Result<Answer, ErrorCode> {
    let room = room(request, params.channel.as_deref()).await?;
    let options = name::options(request.context(), room.name());
    let since: Option<StreamPosition> =
        params.since.as_ref().map(|since| position(&since.epoch, since.offset));
    let limit = usize::try_from(params.limit).unwrap_or(MAX_PUBLICATIONS);
    let range = (since, limit, params.reverse);
    let kept = (options.history_size, options.history_ttl);
    let read = read_log(request.context(), &room.chat_group(), range, kept).await;
    let (events, end) =
        read.map_err(|error| ErrorCode::from(&error))?.ok_or(ErrorCode::UnrecoverablePosition)?;
    Ok(replies::history_json(&events, end, <Chat as parlor::Channel>::view))
}

async fn list(request: &Request) -> Result<Answer, ErrorCode> {
    let groups = request.context().layer().groups().await.map_err(|error| ErrorCode::from(&error))?;
    let rooms = groups.iter().filter_map(|(group, users)| Some((groups::room_of(group)?, users)));
    let channels: BTreeMap<&str, Value> =
        rooms.map(|(room, users)| (room, json!({ "num_clients": users }))).collect();
    Ok(raw(&json!({ "channels": channels })))
}

async fn info(request: &Request) -> Result<Answer, ErrorCode> {
    let nodes = request.context().layer().nodes().await.map_err(|error| ErrorCode::from(&error))?;
    let nodes = nodes.iter().map(|node| {
        let uptime = parlor::now().saturating_sub(node.since_ms) / 1000;
        json!({
            "uid": node.name,
            "name": node.name,
            "version": VERSION,
            "num_clients": node.sockets,
            "num_channels": node.groups,
            "uptime": uptime,
        })
    });
    Ok(raw(&json!({ "nodes": nodes.collect::<Vec<_>>() })))
}

/// Ends the connections of a user, or their subscriptions to a channel.
async fn end(request: &Request, params: &Params, is_channel: bool) -> Result<Answer, ErrorCode> {
    let context = request.context();
    let user = params.user.as_deref().filter(|user| !user.is_empty()).ok_or(ErrorCode::BadRequest)?;
    let failed = |error: &parlor::LayerError| ErrorCode::from(error);
    let found = context.find_by_subject(user).await.map_err(|error| failed(&error))?;
    // A user without connections has none to end.
    let Some(id) = found else { return Ok(raw(&json!({}))) };
    let room = match (is_channel, &params.channel) {
        (true, channel) => Some(room(request, channel.as_deref()).await?),
        (false, None) => None,
        (false, Some(_)) => return Err(ErrorCode::BadRequest),
    };
    let about = room.as_ref().map_or_else(|| id.clone(), |room| format!("{id}: {}", room.name()));
    context.audit(request.identity().name(), "disconnect", &about).await.map_err(|error| failed(&error))?;
    let group = room.map(|room| room.chat_group());
    let ended = context.disconnect_user(&id, group.as_ref(), CloseCode::Forbidden, "disconnected").await;
    ended.map_err(|error| failed(&error))?;
    Ok(raw(&json!({})))
}

async fn batch(request: &Request, params: Params) -> Result<Answer, ErrorCode> {
    let commands = params.commands.filter(|commands| (1..=MAX_ITEMS).contains(&commands.len()));
    let commands = commands.ok_or(ErrorCode::BadRequest)?;
    let each = commands.iter().map(async |command| {
        let mut methods = command.iter();
        let (Some((method, body)), None) = (methods.next(), methods.next()) else {
            return outcome("", Err(ErrorCode::BadRequest));
        };
        if method == "batch" {
            return outcome("", Err(ErrorCode::BadRequest));
        }
        outcome(method, run(request, method, body.get().as_bytes()).await)
    });
    let replies = if params.parallel {
        join_all(each).await
    } else {
        let mut replies = Vec::new();
        for reply in each {
            replies.push(reply.await);
        }
        replies
    };
    Ok(raw(&BTreeMap::from([("replies", replies)])))
}
