//! What the task of a connection does as it was instructed, between two messages of its client.

use std::sync::Arc;

use tracing::debug;

use crate::layer::ConnectionChange;
use crate::realtime::command::{Join, Since, StreamPosition, Target};
use crate::realtime::denied::Denied;
use crate::realtime::fanout::messages_missing;
use crate::realtime::instructions::Instructed;
use crate::realtime::joined::Joined;
use crate::realtime::protocol::{Protocol, Refused};
use crate::realtime::revalidation::TOKEN_EXPIRED;
use crate::realtime::streams::Streams;
use crate::realtime::subscription::JoinedBy;
use crate::realtime::turn::Turn;
use crate::telemetry::Chain;
use crate::wire::close::{Close, CloseCode};

/// Why a connection is closed for which the server cannot join another channel.
pub const TOO_MANY_CHANNELS: &str = "too many channels";

/// Carries out an instruction and those behind it, by turns with other sockets.
pub(crate) async fn carry_out_all<P: Protocol, S: Streams>(joined: &Joined, first: Instructed) {
    let (mut turn, mut next) = (Turn::default(), Some(first));
    while let Some(instructed) = next {
        turn.spend(carry_out::<P, S>(joined, instructed)).await;
        turn.end_request().await;
        next = joined.realtime().hub().next_instruction(joined.socket());
    }
}

/// Carries out an instruction, unless it is for another connection of the user, or the client has
/// not connected.
async fn carry_out<P: Protocol, S: Streams>(joined: &Joined, instructed: Instructed) {
    let instruction = &instructed.instruction;
    if joined.socket().awaits_connect() {
        return;
    }
    if instruction.client.as_ref().is_some_and(|client| client != joined.client()) {
        return;
    }
    match &instruction.change {
        ConnectionChange::Subscribe { .. } => subscribe::<P, S>(joined, &instructed).await,
        ConnectionChange::Refresh { expires_at, info } => refresh::<P>(joined, *expires_at, info.as_deref()),
        ConnectionChange::Expire => joined.socket().close(&Close::new(CloseCode::LoginEnded, TOKEN_EXPIRED)),
    }
}

/// Joins a channel for the client. Its messages since the position follow.
async fn subscribe<P: Protocol, S: Streams>(joined: &Joined, instructed: &Instructed) {
    let ConnectionChange::Subscribe { stream, name, since, expires_at, info } =
        &instructed.instruction.change
    else {
        return;
    };
    let Some(entrance) = S::entrance::<P>(stream) else { return };
    let target = Target { stream: entrance.renderer().stream, name: name.into() };
    let since = since.map(|(epoch, offset)| Since::Offset(StreamPosition { epoch, offset }));
    let join = Join { since, ..Join::new(target) };
    let socket = joined.socket();
    let entered = joined.enter::<P, S>(JoinedBy::Server, 0, &join, Some(instructed.received_at)).await;
    let mut entered = match entered {
        Ok(entered) => entered,
        Err(Refused::AlreadyJoined) => return,
        Err(Refused::TooMany(_)) => {
            return socket.close(&Close::new(CloseCode::PolicyViolation, TOO_MANY_CHANNELS));
        }
        // The client learns that something is missing.
        Err(Refused::Denied(Denied::Layer(_)) | Refused::TryAgain) => {
            return socket.close(&messages_missing());
        }
        Err(refused) => {
            let reason = Chain(&refused);
            return debug!(channel = name.as_str(), %reason, "a client may not enter what it was subscribed to");
        }
    };
    entered.info = info.as_deref().map(Arc::from);
    entered.registration.renew(*expires_at);
    let welcome = match joined.welcome(&mut entered).await {
        Ok(welcome) => welcome,
        Err(error) => {
            error.record();
            return socket.close(&messages_missing());
        }
    };
    let channel = entered.registration.channel();
    if let Some(frame) = welcome.and_then(|welcome| P::joined_for_client(channel, &welcome)) {
        socket.send(&P::TRANSPORT.message(frame, None));
    }
    joined.add(entered);
}

/// Moves the end of the client's token.
fn refresh<P: Protocol>(joined: &Joined, expires_at: Option<u64>, info: Option<&str>) {
    let socket = joined.socket();
    if let Some(info) = info {
        socket.identity().set_info(info.into());
    }
    socket.identity().renew(expires_at.map(|time| time.saturating_mul(1000)));
    socket.ask_at(joined.context().seconds_after(socket.identity().valid_for()));
    if let Some(frame) = P::token_extended(socket.identity().expires_in()) {
        socket.send(&P::TRANSPORT.message(frame, None));
    }
}
