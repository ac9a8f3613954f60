//! Centrifugo's protocol for clients that only receive: a connect request, then pushes without a
//! frame around them, in JSON.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::time::Duration;

use parlor::{
    Action, ChannelName, Close, Config, Connected, Denied, Frame, Identity, LayerError, NumberedRequest,
    Protocol, Refused, Reply, ReplyTo, Transport, View, Welcome,
};
use serde::Serialize;

use crate::protocols::centrifugo::Centrifugo;
use crate::protocols::centrifugo::encoding::{Encoding, Json, bytes, line, object};
use crate::protocols::centrifugo::messages;
use crate::protocols::centrifugo::messages::{Command, ConnectRequest, ConnectResult};
use crate::protocols::centrifugo::requests::decode;
use crate::protocols::centrifugo::transport::ClientTransport;

/// The protocol on a transport. The server alone subscribes its clients.
pub(crate) struct Unidirectional<T>(PhantomData<T>);

/// The protocol of clients that also send, with the encoding of those that do not.
type Bidirectional<T> = Centrifugo<Bare, T>;

impl<T: ClientTransport> Protocol for Unidirectional<T> {
    const TRANSPORT: Transport = T::TRANSPORT;
    const RESUMES: bool = true;
    const CONNECTS: bool = true;
    const FIRST_MESSAGE: &'static str = "{}";
    const NUMBERS: bool = true;
    const SHOWS_CONNECTIONS: bool = true;
    const GAP_ENDS: bool = true;

    fn max_frame_bytes(config: &Config) -> usize {
        Bidirectional::<T>::max_frame_bytes(config)
    }

    fn decode<'a>(frame: &'a Frame<'_>, config: &Config) -> Result<NumberedRequest<'a>, Action> {
        decode::<Bare>(frame, config.max_message_bytes)
    }

    fn reply(_: &ReplyTo<'_>, _: Result<&Reply, &LayerError>) -> Action {
        Action::Nothing
    }

    fn view(view: &View<'_>, channel: ChannelName<'_>) -> Option<Frame<'static>> {
        Bidirectional::<T>::view(view, channel)
    }

    fn welcome(_: ChannelName<'_>, _: &Identity, _: &Welcome) -> Option<Frame<'static>> {
        None
    }

    fn connected(number: u32, connected: &Connected<'_>) -> Option<Frame<'static>> {
        let Connected { client, identity, is_refresh, channels, .. } = *connected;
        // Nothing can be sent, and no pong is expected.
        let sends_to = Some(("", ""));
        Bidirectional::<T>::connected(number, &Connected { client, sends_to, identity, is_refresh, channels })
    }

    fn joined_for_client(channel: ChannelName<'_>, welcome: &Welcome) -> Option<Frame<'static>> {
        Bidirectional::<T>::joined_for_client(channel, welcome)
    }

    fn token_extended(expires_in: Option<Duration>) -> Option<Frame<'static>> {
        Bidirectional::<T>::token_extended(expires_in)
    }

    fn refuse(_: &NumberedRequest<'_>, refused_because: &Refused) -> Action {
        let (code, reason) = match refused_because {
            Refused::TokenExpired => (3005, "connection expired"),
            Refused::TooFast => (3013, "too many requests"),
            Refused::Denied(Denied::Layer(_)) | Refused::TryAgain | Refused::HasLeft => {
                (3004, "internal server error")
            }
            // Clients do not reconnect: another attempt fails, too.
            Refused::TooMany(_) => (3505, "channel limit"),
            Refused::Denied(Denied::LoginRequired(_) | Denied::Forbidden(_) | Denied::NotFound)
            | Refused::NotJoined
            | Refused::TakesNoCommands => (3507, "permission denied"),
            Refused::Denied(Denied::BadName(_)) | Refused::AlreadyJoined | Refused::Unrecoverable => {
                (3501, "bad request")
            }
        };
        Action::Close(Close::foreign(code, reason))
    }

    fn left(channel: ChannelName<'_>, close: &Close) -> Option<Frame<'static>> {
        Bidirectional::<T>::left(channel, close)
    }

    fn close(close: &Close) -> Close {
        Bidirectional::<T>::close(close)
    }

    fn ended(close: &Close) -> Option<Frame<'static>> {
        Bidirectional::<T>::ended(close)
    }

    fn ping() -> Option<Frame<'static>> {
        Bidirectional::<T>::ping()
    }
}

/// A connect request without a frame, and pushes without one.
struct Bare;

/// The first push.
#[derive(Serialize)]
struct ConnectPush<'a> {
    connect: &'a ConnectResult,
}

impl Encoding for Bare {
    const SUBPROTOCOL: &'static str = Json::SUBPROTOCOL;

    fn split<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = Frame<'a>> + Send {
        std::iter::once(Frame::Binary(Cow::Borrowed(bytes(frame))))
    }

    fn decode(frame: &Frame<'_>) -> Option<Command> {
        let connect: ConnectRequest = object(bytes(frame)).ok()?;
        Some(Command { id: 1, connect: Some(connect), ..Command::default() })
    }

    fn encode(reply: &messages::Reply) -> Option<Frame<'static>> {
        let json = match reply {
            messages::Reply { connect: Some(connect), .. } => line(&ConnectPush { connect })?,
            messages::Reply { push: Some(push), .. } => line(push)?,
            // A ping.
            reply if *reply == messages::Reply::default() => return Json::encode(reply),
            _ => return None,
        };
        Some(Frame::Text(json.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::centrifugo::transport::EventStream;

    #[test]
    fn a_ping_is_an_empty_object() {
        assert_eq!(Unidirectional::<EventStream>::ping(), Some(Frame::Text("{}".into())));
    }

    #[test]
    fn a_request_is_one_object() {
        let decoded = |json: &str| Bare::decode(&Frame::Text(json.to_owned().into())).is_some();
        assert!(decoded("{}") && decoded(r#" {"token":"a","data":{"b":[]},"name":"js"}"#));
        for json in ["", "[]", r#"["a"]"#, "{} {}", r#"{"token":7}"#] {
            assert!(!decoded(json), "{json}");
        }
    }
}
