//! The answers to Centrifugo's clients and programs, and what they receive unasked.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parlor::{
    Action, ConnectionMember, Delivery, Frame, Message, PresenceSnapshot, Recovery, StreamPosition, View,
    ViewFn, Welcome,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::protocols::centrifugo::encoding::Encoding;
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::centrifugo::messages;
use crate::protocols::centrifugo::messages::{
    ClientInfo, Empty, HistoryResult, PresenceResult, PresenceStatsResult, Publication, Push, SubscribeResult,
};
use crate::protocols::centrifugo::position::epoch;

/// The publications of an answer to a client that asks for all.
pub(crate) const MAX_PUBLICATIONS: usize = 300;

pub(super) fn send<E: Encoding>(reply: &messages::Reply) -> Action {
    E::encode(reply).map_or(Action::Nothing, Action::Send)
}

pub(super) fn pushed<E: Encoding>(push: Push) -> Option<Frame<'static>> {
    E::encode(&messages::Reply { push: Some(push), ..messages::Reply::default() })
}

pub(super) fn error(number: u32, code: ErrorCode) -> messages::Reply {
    messages::Reply { id: number, error: Some(code.into()), ..messages::Reply::default() }
}

pub(super) fn refused<E: Encoding>(number: u32, code: ErrorCode) -> Action {
    send::<E>(&error(number, code))
}

pub(super) fn unsubscribed_as_asked<E: Encoding>(number: u32) -> Option<Frame<'static>> {
    E::encode(&messages::Reply { id: number, unsubscribe: Some(Empty {}), ..messages::Reply::default() })
}

/// Returns whether a token expires that may be used for this time, and when, in seconds.
pub(super) fn ttl(expires_in: Option<Duration>) -> (bool, u32) {
    let seconds = |time: Duration| u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    (expires_in.is_some(), expires_in.map_or(0, seconds))
}

pub(super) fn subscribed(welcome: &Welcome) -> SubscribeResult {
    let recovered = welcome.recovery == Recovery::Recovered && welcome.since.is_some();
    let (expires, ttl) = ttl(welcome.expires_in);
    SubscribeResult {
        expires,
        ttl,
        recoverable: true,
        positioned: true,
        epoch: epoch(welcome.end.epoch.unwrap_or_default()),
        offset: welcome.end.offset,
        was_recovering: welcome.since.is_some(),
        recovered,
    }
}

pub(super) fn history(events: &[Arc<Delivery>], end: StreamPosition, view: ViewFn) -> HistoryResult {
    let publications = events.iter().filter_map(|event| match view(event) {
        Some(View::Message(message)) => Some(publication(&message)),
        _ => None,
    });
    let epoch = epoch(end.epoch.unwrap_or_default());
    HistoryResult { publications: publications.collect(), epoch, offset: end.offset }
}

/// Returns the connections of a list; `None` if they are too many to be listed.
pub(super) fn members(connections: &PresenceSnapshot) -> Option<PresenceResult> {
    let clients = connections.members.as_ref()?.iter().filter_map(|member| client_info(member));
    Some(PresenceResult { presence: clients.map(|info| (info.client.clone(), info)).collect() })
}

pub(super) fn stats(presence: &PresenceResult) -> PresenceStatsResult {
    let users: BTreeSet<&str> = presence.presence.values().map(|info| &*info.user).collect();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    PresenceStatsResult { num_clients: number(presence.presence.len()), num_users: number(users.len()) }
}

/// Returns the connections of a list as the server API has them, or only how many; `None` if they
/// are too many to be listed.
pub(crate) fn presence(connections: &PresenceSnapshot, is_count: bool) -> Option<Box<RawValue>> {
    let presence = members(connections)?;
    Some(if is_count { raw(&stats(&presence)) } else { raw(&presence) })
}

/// Encodes what consists of texts and numbers, and of data that are JSON.
pub(crate) fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("texts, numbers and JSON become JSON")
}

/// Returns an error as the server API has it.
pub(crate) fn api_error(error: &messages::Error) -> Box<RawValue> {
    raw(error)
}

/// Returns messages and where their log ends, as the server API has them.
pub(crate) fn history_json(events: &[Arc<Delivery>], end: StreamPosition, view: ViewFn) -> Box<RawValue> {
    raw(&history(events, end, view))
}

/// What a message without data of its own is, as data.
#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
}

/// The data of a message that was said in words.
#[derive(Serialize)]
struct Said<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<parlor::Id>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
}

/// Returns a text without a sender.
pub(super) fn line(text: &str) -> Publication {
    let data = serde_json::to_vec(&Line { text }).expect("a text becomes JSON");
    Publication { data, ..Publication::default() }
}

pub(super) fn publication(message: &Message<'_>) -> Publication {
    let Message { text, data, event, user, name, subject, client, info, channel_info, .. } = *message;
    let Message { position, is_redacted, .. } = *message;
    let json = |info: Option<&RawValue>| info.map_or_else(Vec::new, |info| info.get().as_bytes().to_vec());
    let id = position.map(|position| position.id);
    let data = match data {
        Some(data) => data.get().as_bytes().to_vec(),
        None => serde_json::to_vec(&Said { text, user, name, event, id, removed: is_redacted })
            .expect("texts become JSON"),
    };
    let offset = position.and_then(|position| position.offset);
    let mut tags = BTreeMap::new();
    for (tag, value) in [("id", id.map(|id| id.to_string())), ("event", event.map(str::to_owned))] {
        tags.extend(value.map(|value| (tag.to_owned(), value)));
    }
    Publication {
        data,
        info: subject.map(|user| ClientInfo {
            user: user.to_owned(),
            client: client.unwrap_or_default().to_owned(),
            conn_info: json(info),
            chan_info: json(channel_info),
        }),
        offset: offset.map_or(0, |offset| offset.n.get()),
        epoch: offset.map_or_else(String::new, |offset| epoch(offset.epoch)),
        time: id.map_or(0, |id| i64::try_from(id.millis()).unwrap_or_default()),
        tags,
    }
}

/// Returns what clients learn of a connection in a list.
pub(super) fn client_info(member: &str) -> Option<ClientInfo> {
    let ConnectionMember { client, user, info, channel_info } = ConnectionMember::parse(member)?;
    // Only nodes write members; one of another program may have an info that is no JSON.
    let json = |info: Option<Cow<'_, str>>| {
        let info = info.filter(|info| serde_json::from_str::<&RawValue>(info).is_ok());
        info.map_or_else(Vec::new, |info| info.into_owned().into_bytes())
    };
    Some(ClientInfo {
        user: user.into_owned(),
        client: client.into_owned(),
        conn_info: json(info),
        chan_info: json(channel_info),
    })
}
