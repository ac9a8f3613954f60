//! The methods that read: the log, who is there, and the nodes.

use std::collections::BTreeMap;

use parlor::{Channel, Control, Presence, Request, connections_in, read_log};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::centrifugo::api::answer::Answer;
use crate::centrifugo::api::channel;
use crate::centrifugo::api::params::NoParams;
use crate::chat::channel::Chat;
use crate::protocols::centrifugo::VERSION;
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::centrifugo::position::position;
use crate::protocols::centrifugo::replies;
use crate::protocols::centrifugo::replies::{MAX_PUBLICATIONS, raw};
use crate::rooms::{groups, name};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfChannel {
    channel: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    channel: String,
    /// Less than 0 is all that an answer may have, 0 only where the log ends.
    #[serde(default)]
    limit: i64,
    since: Option<Since>,
    #[serde(default)]
    reverse: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    pub(super) offset: u64,
    pub(super) epoch: String,
}

pub(super) async fn history(request: &Request, params: History) -> Result<Answer, ErrorCode> {
    let room = channel::chat(request, &params.channel).await?;
    let options = name::options(request.context(), room.name());
    let since = params.since.map(|since| position(&since.epoch, since.offset));
    let limit = usize::try_from(params.limit).unwrap_or(MAX_PUBLICATIONS);
    let range = (since, limit, params.reverse);
    let kept = (options.history_size, options.history_ttl);
    let read = read_log(request.context(), &room.chat_group(), range, kept).await;
    let (events, end) =
        read.map_err(|error| ErrorCode::from(&error))?.ok_or(ErrorCode::UnrecoverablePosition)?;
    Ok(replies::history_json(&events, end, Chat::view))
}

pub(super) async fn presence(request: &Request, params: OfChannel) -> Result<Answer, ErrorCode> {
    connections(request, &params.channel, false).await
}

pub(super) async fn presence_stats(request: &Request, params: OfChannel) -> Result<Answer, ErrorCode> {
    connections(request, &params.channel, true).await
}

async fn connections(request: &Request, channel: &str, is_count: bool) -> Result<Answer, ErrorCode> {
    let room = channel::chat(request, channel).await?;
    let context = request.context();
    if !name::options(context, room.name()).lists_connections() {
        return Err(ErrorCode::NotAvailable);
    }
    let connections = connections_in(context, &room.chat_group()).await;
    let connections = connections.map_err(|error| ErrorCode::from(&error))?;
    replies::presence(&connections, is_count).ok_or(ErrorCode::NotAvailable)
}

/// Returns the rooms with members, and how many users each has.
pub(super) async fn list(request: &Request, _: NoParams) -> Result<Answer, ErrorCode> {
    let groups = request.context().layer().groups().await.map_err(|error| ErrorCode::from(&error))?;
    let rooms = groups.iter().filter_map(|(group, users)| Some((groups::room_of(group)?, users)));
    let channels: BTreeMap<&str, Value> =
        rooms.map(|(room, users)| (room, json!({ "num_clients": users }))).collect();
    Ok(raw(&json!({ "channels": channels })))
}

pub(super) async fn info(request: &Request, _: NoParams) -> Result<Answer, ErrorCode> {
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
