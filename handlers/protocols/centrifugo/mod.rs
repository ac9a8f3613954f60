//! Centrifugo's client protocol, in JSON and in Protobuf: what `docs/centrifugo.md` describes.

pub(crate) mod channel;
pub(crate) mod encoding;
pub(crate) mod error;
mod messages;
pub(crate) mod position;
pub(crate) mod replies;
pub(crate) mod requests;
pub(crate) mod transport;
pub(crate) mod unidirectional;

use std::marker::PhantomData;
use std::time::Duration;

use parlor::{
    Action, ChannelName, ClientRequest, Close, CloseCode, Command, Config, Connected, Frame, Identity,
    LayerError, NumberedRequest, PING_INTERVAL_SECONDS, Protocol, Refused, Reply, ReplyTo, Transport, View,
    Welcome,
};

use crate::protocols::centrifugo::encoding::Encoding;
use crate::protocols::centrifugo::error::{ErrorCode, unsubscribe, unsubscribed};
use crate::protocols::centrifugo::messages::{
    ConnectResult, Disconnect, Empty, Member, Push, RefreshResult, SubRefreshResult, Subscribe,
    SubscribeResult, Unsubscribe,
};
use crate::protocols::centrifugo::replies::{
    client_info, error, history, line, members, publication, pushed, refused, send, stats, subscribed, ttl,
    unsubscribed_as_asked,
};
use crate::protocols::centrifugo::requests::decode;
use crate::protocols::centrifugo::transport::{ClientTransport, Socket};

/// Frames up to this multiple of the limit of a message are read: they may have several commands.
const FRAME_LIMIT_MULTIPLE: usize = 4;
/// What clients and programs learn of the server.
pub(crate) const VERSION: &str = concat!("parlor ", env!("CARGO_PKG_VERSION"));

/// The protocol, in an encoding and on a transport.
pub(crate) struct Centrifugo<E, T = Socket>(PhantomData<(E, T)>);

impl<E: Encoding, T: ClientTransport> Protocol for Centrifugo<E, T> {
    const TRANSPORT: Transport = T::TRANSPORT;
    const SUBPROTOCOL: Option<&'static str> = Some(E::SUBPROTOCOL);
    const IN_QUERY: &'static [(&'static str, &'static str)] = E::IN_QUERY;
    const IS_DEFAULT: bool = E::IS_DEFAULT;
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
            View::Line(text) => Push { r#pub: Some(line(text)), ..Push::default() },
            View::Connection { has_joined, member } => {
                let member = Some(Member { info: Some(client_info(member)?) });
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
        let (expires, ttl) = ttl(connected.identity.expires_in());
        let client = connected.client.to_owned();
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

    fn joined_for_client(channel: ChannelName<'_>, welcome: &Welcome) -> Option<Frame<'static>> {
        let SubscribeResult { recoverable, epoch, offset, positioned, .. } = subscribed(welcome);
        let subscribe = Some(Subscribe { recoverable, epoch, offset, positioned });
        pushed::<E>(Push { channel: channel.name.to_owned(), subscribe, ..Push::default() })
    }

    fn token_extended(expires_in: Option<Duration>) -> Option<Frame<'static>> {
        let (expires, ttl) = ttl(expires_in);
        pushed::<E>(Push { refresh: Some(SubRefreshResult { expires, ttl }), ..Push::default() })
    }

    fn join_refreshed(
        number: u32,
        _: ChannelName<'_>,
        expires_in: Option<Duration>,
    ) -> Option<Frame<'static>> {
        let (expires, ttl) = ttl(expires_in);
        let sub_refresh = Some(SubRefreshResult { expires, ttl });
        E::encode(&messages::Reply { id: number, sub_refresh, ..messages::Reply::default() })
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
