//! What the commands of Centrifugo's clients ask for.

use std::borrow::Cow;

use parlor::{
    Action, ClientRequest, Close, CloseCode, Command, Connect, Frame, Join, NumberedRequest, Omitted, Since,
};
use serde::Deserialize;

use crate::protocols::centrifugo::encoding::Encoding;
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::centrifugo::messages::SubscribeRequest;
use crate::protocols::centrifugo::position::position;
use crate::protocols::centrifugo::replies::{MAX_PUBLICATIONS, refused};
use crate::protocols::centrifugo::{channel, messages};
use crate::protocols::data;

/// The bit of `flag` in a subscribe request: fail unless everything since the position follows.
const REJECT_UNRECOVERED: i64 = 2;

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
        let is_pong = command == messages::Command::default();
        return if is_pong { Ok(ClientRequest::Pong) } else { Err(bad_request()) };
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
        let data = String::from_utf8(publish.data).ok().filter(|data| data.len() <= max);
        let Some(data) = data.as_deref().and_then(data::readable) else {
            return refuse(ErrorCode::BadRequest);
        };
        let (text, data) = (Cow::Owned(text_of(&data)), data.into_owned());
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
    } else if let Some(refresh) = command.sub_refresh {
        ClientRequest::RefreshJoin(target(&refresh.channel)?, refresh.token.into())
    } else if command.rpc.is_some() || command.ping.is_some() {
        return refuse(ErrorCode::NotAvailable);
    } else {
        return Err(bad_request());
    })
}

fn since(request: &SubscribeRequest) -> Option<Since<'static>> {
    request.recover.then(|| Since::Offset(position(&request.epoch, request.offset)))
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
