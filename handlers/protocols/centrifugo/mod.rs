//! Centrifugo's client protocol, in JSON and in Protobuf: what `docs/centrifugo.md` describes.

pub(crate) mod channel;
pub(crate) mod encoding;
pub(crate) mod error;
mod messages;
pub(crate) mod transport;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use parlor::{
    Action, ChannelName, ClientRequest, Close, CloseCode, Command, Config, Connect, Connected, Delivery,
    Frame, Identity, Join, LayerError, Message, NumberedRequest, Omitted, PING_INTERVAL_SECONDS,
    PresenceSnapshot, Protocol, Recovery, Refused, Reply, ReplyTo, Since, StreamPosition, Transport, View,
    ViewFn, Welcome,
};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::protocols::centrifugo::encoding::Encoding;
use crate::protocols::centrifugo::error::{ErrorCode, unsubscribe, unsubscribed};
use crate::protocols::centrifugo::messages::{
    ClientInfo, ConnectResult, Disconnect, Empty, HistoryResult, Member, PresenceResult, PresenceStatsResult,
    Publication, Push, RefreshResult, SubscribeRequest, SubscribeResult, Unsubscribe,
};
use crate::protocols::centrifugo::transport::{ClientTransport, Socket};

/// Frames up to this multiple of the limit of a message are read: they may have several commands.
const FRAME_LIMIT_MULTIPLE: usize = 4;
/// The bit of `flag` in a subscribe request: fail unless everything since the position follows.
const REJECT_UNRECOVERED: i64 = 2;
/// The publications of an answer to a client that asks for all.
pub(crate) const MAX_PUBLICATIONS: usize = 300;
/// What clients and programs learn of the server.
pub(crate) const VERSION: &str = concat!("parlor ", env!("CARGO_PKG_VERSION"));

/// The protocol, in an encoding and on a transport.
pub(crate) struct Centrifugo<E, T = Socket>(PhantomData<(E, T)>);

impl<E: Encoding, T: ClientTransport> Protocol for Centrifugo<E, T> {
    const TRANSPORT: Transport = T::TRANSPORT;
    const SUBPROTOCOL: Option<&'static str> = E::SUBPROTOCOL;
    const RESUMES: bool = true;
    const CONNECTS: bool = true;
    const NUMBERS: bool = true;
    const SHOWS_CONNECTIONS: bool = true;
    const GAP_ENDS: bool = true;

    fn max_frame_bytes(config: &Config) -> usize {
        config.max_message_bytes * FRAME_LIMIT_MULTIPLE
    }

    fn split<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = Frame<'a>> + Send {
        E::split(frame)
    }

    fn decode<'a>(frame: &'a Frame<'_>, config: &Config) -> Result<NumberedRequest<'a>, Action> {
        decode::<E>(frame, config.max_message_bytes)
    }

    fn too_fast(frame: &Frame<'_>) -> Action {
        match E::decode(frame) {
            Some(command) if command.id > 0 => refused::<E>(command.id, ErrorCode::TooManyRequests),
            _ => Action::Close(CloseCode::RateLimited.into()),
        }
    }

    fn reply(to: &ReplyTo<'_>, reply: Result<&Reply, &LayerError>) -> Action {
        let answer = messages::Reply { id: to.number, ..messages::Reply::default() };
        let answer = match reply {
            Err(error) => return refused::<E>(to.number, error.into()),
            Ok(Reply::Unsupported) => return refused::<E>(to.number, ErrorCode::NotAvailable),
            Ok(Reply::Unrecoverable) => return refused::<E>(to.number, ErrorCode::UnrecoverablePosition),
            Ok(Reply::Published(_) | Reply::Nothing | Reply::History(_)) => {
                messages::Reply { publish: Some(Empty {}), ..answer }
            }
            Ok(Reply::Log(events, end)) => {
                messages::Reply { history: Some(history(events, *end, to.view)), ..answer }
            }
            Ok(Reply::Connections(connections)) => {
                let Some(presence) = members(connections) else {
                    return refused::<E>(to.number, ErrorCode::NotAvailable);
                };
                if matches!(to.command, Command::Connections { is_count: true }) {
                    messages::Reply { presence_stats: Some(stats(&presence)), ..answer }
                } else {
                    messages::Reply { presence: Some(presence), ..answer }
                }
            }
        };
        send::<E>(&answer)
    }

    fn view(view: &View<'_>, channel: ChannelName<'_>) -> Option<Frame<'static>> {
        let push = match view {
            View::Message(message) => Push { r#pub: Some(publication(message)), ..Push::default() },
            View::Line(text) => {
                let data = Line { text };
                let data = serde_json::to_vec(&data).expect("a text becomes JSON");
                Push { r#pub: Some(Publication { data, ..Publication::default() }), ..Push::default() }
            }
            View::Connection { has_joined, client, user } => {
                let member = Some(Member { info: Some(client_info(client, user)) });
                match has_joined {
                    true => Push { join: member, ..Push::default() },
                    false => Push { leave: member, ..Push::default() },
                }
            }
            View::Gap { .. } => {
                let reason = "insufficient state".to_owned();
                let unsubscribe = Unsubscribe { code: unsubscribed::INSUFFICIENT_STATE, reason };
                Push { unsubscribe: Some(unsubscribe), ..Push::default() }
            }
            View::Redacted { .. } | View::Presence { .. } | View::Typing { .. } | View::Unread { .. } => {
                return None;
            }
        };
        pushed::<E>(Push { channel: channel.name.to_owned(), ..push })
    }

    fn welcome(_: ChannelName<'_>, _: &Identity, welcome: &Welcome) -> Option<Frame<'static>> {
        if welcome.is_refused {
            return E::encode(&error(welcome.number, ErrorCode::UnrecoverablePosition));
        }
        let subscribe = Some(subscribed(welcome));
        E::encode(&messages::Reply { id: welcome.number, subscribe, ..messages::Reply::default() })
    }

    fn connected(number: u32, connected: &Connected<'_>) -> Option<Frame<'static>> {
        let version = VERSION.to_owned();
        let ttl = connected.identity.expires_in().map(ttl);
        let (client, expires, ttl) = (connected.client.to_owned(), ttl.is_some(), ttl.unwrap_or_default());
        let answer = messages::Reply { id: number, ..messages::Reply::default() };
        E::encode(&if connected.is_refresh {
            messages::Reply { refresh: Some(RefreshResult { client, version, expires, ttl }), ..answer }
        } else {
            let subs = connected.channels.iter();
            let subs =
                subs.map(|(channel, welcome)| (channel.name.to_owned(), subscribed(welcome))).collect();
            let (node, session) = connected.sends_to.unwrap_or_default();
            let connect = ConnectResult {
                client,
                version,
                expires,
                ttl,
                subs,
                ping: PING_INTERVAL_SECONDS,
                // A stream whose client has gone cannot be written.
                pong: connected.sends_to.is_none(),
                session: session.to_owned(),
                node: node.to_owned(),
            };
            messages::Reply { connect: Some(connect), ..answer }
        })
    }

    fn refuse(request: &NumberedRequest<'_>, refused_because: &Refused) -> Action {
        if let (ClientRequest::Leave(_), Refused::NotJoined) = (&request.request, refused_because) {
            return unsubscribed_as_asked::<E>(request.number).map_or(Action::Nothing, Action::Send);
        }
        refused::<E>(request.number, refused_because.into())
    }

    fn left(channel: ChannelName<'_>, close: &Close) -> Option<Frame<'static>> {
        let (code, reason) = unsubscribe(close);
        let unsubscribe = Some(Unsubscribe { code, reason: reason.to_owned() });
        pushed::<E>(Push { channel: channel.name.to_owned(), unsubscribe, ..Push::default() })
    }

    fn left_as_asked(number: u32, _: ChannelName<'_>) -> Option<Frame<'static>> {
        unsubscribed_as_asked::<E>(number)
    }

    fn close(close: &Close) -> Close {
        error::close(close)
    }

    fn ended(close: &Close) -> Option<Frame<'static>> {
        let disconnect = Disconnect { code: close.code().into(), reason: close.reason().to_owned() };
        pushed::<E>(Push { disconnect: Some(disconnect), ..Push::default() })
    }

    fn ping() -> Option<Frame<'static>> {
        E::encode(&messages::Reply::default())
    }
}

/// Reads a command, whose data may have `max` bytes.
///
/// # Errors
/// Returns the action to take for a command that is answered at once, or is none.
pub(crate) fn decode<E: Encoding>(frame: &Frame<'_>, max: usize) -> Result<NumberedRequest<'static>, Action> {
    let command = E::decode(frame).ok_or_else(bad_request)?;
    let number = command.id;
    Ok(NumberedRequest { number, request: request::<E>(command, max)? })
}

fn bad_request() -> Action {
    Action::Close(CloseCode::PolicyViolation.into())
}

fn send<E: Encoding>(reply: &messages::Reply) -> Action {
    E::encode(reply).map_or(Action::Nothing, Action::Send)
}

fn pushed<E: Encoding>(push: Push) -> Option<Frame<'static>> {
    E::encode(&messages::Reply { push: Some(push), ..messages::Reply::default() })
}

fn error(number: u32, code: ErrorCode) -> messages::Reply {
    messages::Reply { id: number, error: Some(code.into()), ..messages::Reply::default() }
}

fn refused<E: Encoding>(number: u32, code: ErrorCode) -> Action {
    send::<E>(&error(number, code))
}

fn unsubscribed_as_asked<E: Encoding>(number: u32) -> Option<Frame<'static>> {
    E::encode(&messages::Reply { id: number, unsubscribe: Some(Empty {}), ..messages::Reply::default() })
}

/// Returns what a command asks for; see [`decode`].
fn request<E: Encoding>(command: messages::Command, max: usize) -> Result<ClientRequest<'static>, Action> {
    let number = command.id;
    let refuse = |code| Err(refused::<E>(number, code));
    if command.send.is_some() {
        // There is no handler of messages without an answer.
        return Err(Action::Close(Close::foreign(3508, "not available")));
    }
    if number == 0 {
        // The answer to a ping of the server is empty.
        return Err(if command == messages::Command::default() { Action::Nothing } else { bad_request() });
    }
    let target =
        |channel: &str| channel::target(channel).ok_or_else(|| refused::<E>(number, ErrorCode::BadRequest));
    Ok(if let Some(connect) = command.connect {
        let joins = connect.subs.iter().filter_map(|(channel, request)| {
            Some(Join { since: since(request), ..Join::new(channel::target(channel)?) })
        });
        let token = Some(connect.token).filter(|token| !token.is_empty()).map(Cow::Owned);
        ClientRequest::Connect(Connect { token, joins: joins.collect() })
    } else if let Some(subscribe) = command.subscribe {
        let target = target(&subscribe.channel)?;
        // A filter that is not applied would deliver what the client does not want.
        if subscribe.tf.is_some() || subscribe.kind != 0 {
            return refuse(ErrorCode::NotAvailable);
        }
        let token = Some(subscribe.token.clone()).filter(|token| !token.is_empty()).map(Cow::Owned);
        if token.is_none() && channel::token_only(&subscribe.channel).is_some() {
            return refuse(ErrorCode::PermissionDenied);
        }
        ClientRequest::Join(Join {
            since: since(&subscribe),
            requires_recovery: subscribe.recover && subscribe.flag & REJECT_UNRECOVERED != 0,
            omitted: Omitted { presence: !subscribe.join_leave, typing: true },
            token,
            ..Join::new(target)
        })
    } else if let Some(unsubscribe) = command.unsubscribe {
        ClientRequest::Leave(target(&unsubscribe.channel)?)
    } else if let Some(publish) = command.publish {
        let target = target(&publish.channel)?;
        let data = String::from_utf8(publish.data).ok().filter(|data| is_json(data));
        let Some(data) = data.filter(|data| data.len() <= max) else {
            return refuse(ErrorCode::BadRequest);
        };
        let text = Cow::Owned(text_of(&data));
        ClientRequest::Command(
            Some(target),
            Command::Publish { text, data: Some(data.into()), event: None, id: None },
        )
    } else if let Some(presence) = command.presence {
        ClientRequest::Command(Some(target(&presence.channel)?), Command::Connections { is_count: false })
    } else if let Some(stats) = command.presence_stats {
        ClientRequest::Command(Some(target(&stats.channel)?), Command::Connections { is_count: true })
    } else if let Some(history) = command.history {
        let since = history.since.as_ref().map(|since| position(&since.epoch, since.offset));
        let limit = usize::try_from(history.limit).unwrap_or(MAX_PUBLICATIONS);
        let command = Command::Log { since, limit, reverse: history.reverse };
        ClientRequest::Command(Some(target(&history.channel)?), command)
    } else if let Some(refresh) = command.refresh {
        ClientRequest::Refresh(refresh.token.into())
    } else if command.rpc.is_some() || command.ping.is_some() || command.sub_refresh.is_some() {
        return refuse(ErrorCode::NotAvailable);
    } else {
        return Err(bad_request());
    })
}

fn since(request: &SubscribeRequest) -> Option<Since<'static>> {
    request.recover.then(|| Since::Offset(position(&request.epoch, request.offset)))
}

/// Returns a position of a client. Without an epoch it is of any; an epoch of another server is one
/// that no log has.
pub(crate) fn position(epoch: &str, offset: u64) -> StreamPosition {
    let epoch = (!epoch.is_empty()).then(|| u64::from_str_radix(epoch, 16).unwrap_or(u64::MAX));
    StreamPosition { epoch, offset }
}

/// Returns the text of an epoch, which [`position`] reads.
pub(crate) fn epoch(epoch: u64) -> String {
    format!("{epoch:016x}")
}

fn is_json(data: &str) -> bool {
    serde_json::from_str::<&RawValue>(data).is_ok()
}

/// Returns the text that clients of other protocols are shown of a client's data: its member `text`
/// or `message`, or all of it if it is a text; empty if there is none.
pub(crate) fn text_of(data: &str) -> String {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Data {
        Text(String),
        Object {
            #[serde(alias = "message")]
            text: String,
        },
        Other(serde::de::IgnoredAny),
    }
    match serde_json::from_str(data) {
        Ok(Data::Text(text) | Data::Object { text }) => text,
        Ok(Data::Other(_)) | Err(_) => String::new(),
    }
}

fn ttl(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

fn subscribed(welcome: &Welcome) -> SubscribeResult {
    let recovered = welcome.recovery == Recovery::Recovered && welcome.since.is_some();
    SubscribeResult {
        recoverable: true,
        positioned: true,
        epoch: epoch(welcome.end.epoch.unwrap_or_default()),
        offset: welcome.end.offset,
        was_recovering: welcome.since.is_some(),
        recovered,
        ..SubscribeResult::default()
    }
}

fn history(events: &[Arc<Delivery>], end: StreamPosition, view: ViewFn) -> HistoryResult {
    let publications = events.iter().filter_map(|event| match view(event) {
        Some(View::Message(message)) => Some(publication(&message)),
        _ => None,
    });
    let epoch = epoch(end.epoch.unwrap_or_default());
    HistoryResult { publications: publications.collect(), epoch, offset: end.offset }
}

/// Returns the connections of a list; `None` if they are too many to be listed.
fn members(connections: &PresenceSnapshot) -> Option<PresenceResult> {
    let clients = connections.members.as_ref()?.iter().filter_map(|member| member.split_once('/'));
    let presence = clients.map(|(client, user)| (client.to_owned(), client_info(client, user))).collect();
    Some(PresenceResult { presence })
}

fn stats(presence: &PresenceResult) -> PresenceStatsResult {
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
pub(crate) fn api_error(code: ErrorCode) -> Box<RawValue> {
    raw(&messages::Error::from(code))
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

fn publication(message: &Message<'_>) -> Publication {
    let Message { text, data, event, user, name, subject, position, is_redacted } = *message;
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
        info: subject.map(|user| ClientInfo { user: user.to_owned(), ..ClientInfo::default() }),
        offset: offset.map_or(0, |offset| offset.n.get()),
        epoch: offset.map_or_else(String::new, |offset| epoch(offset.epoch)),
        time: id.map_or(0, |id| i64::try_from(id.millis()).unwrap_or_default()),
        tags,
    }
}

fn client_info(client: &str, user: &str) -> ClientInfo {
    let user = percent_decode_str(user).decode_utf8_lossy().into_owned();
    ClientInfo { user, client: client.to_owned(), ..ClientInfo::default() }
}
