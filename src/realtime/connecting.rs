//! Clients that connect: who they are is in their first request, not in the handshake.

use std::sync::Arc;
use std::time::Instant;

use crate::auth::error::AuthError;
use crate::auth::identity::Identity;
use crate::auth::jwt::{ChannelClaims, TokenError};
use crate::realtime::command::{Connect, Join, Target};
use crate::realtime::denied::{Denied, Reason};
use crate::realtime::joined::Joined;
use crate::realtime::protocol::{Action, Connected, Protocol, Refused};
use crate::realtime::revalidation;
use crate::realtime::streams::Streams;
use crate::realtime::subscription::JoinedBy;
use crate::wire::close::{Close, CloseCode};

/// Why a socket is closed whose token is not valid.
pub const INVALID_TOKEN: &str = "invalid token";

/// Connects the client of a socket, and joins the channels that it is in from the start.
///
/// # Errors
/// Returns [`Refused`] for a token that has expired, for a channel that the client may not enter,
/// and when the layer does not answer. What was entered is left, and the client may connect again
/// on another socket only.
pub(crate) async fn connect<P: Protocol, S: Streams>(
    joined: &Joined,
    number: u32,
    connect: &Connect<'_>,
) -> Result<Action, Refused> {
    let opened_at = Instant::now();
    let (context, socket) = (joined.context(), joined.socket());
    let identity = match &connect.token {
        None => Arc::clone(socket.identity()),
        Some(token) => match Identity::from_token(context.auth(), token).await {
            Ok(identity) => Arc::new(identity.renewable()),
            Err(error) => return refuse_token(&error),
        },
    };
    if joined.admitted().count_user(identity.known_id()).is_err() {
        return Ok(Action::Close(Close::new(CloseCode::RateLimited, "too many connections of this user")));
    }
    socket.set_known_until(context.seconds_after(identity.valid_for()));
    socket.connect(&identity);
    joined.realtime().hub().check_connected(socket, opened_at);
    let gone = revalidation::check_connected(joined.realtime(), socket, opened_at).await;
    if let Some(close) = gone.map_err(Denied::Layer)? {
        return Ok(Action::Close(close));
    }
    let targets = S::joined_at_once(context, socket.identity());
    let most = context.config().max_channels;
    if targets.len() > most {
        return Err(Refused::TooMany(most));
    }
    let mut entered = Vec::with_capacity(targets.len());
    for target in targets {
        let wanted = connect.joins.iter().find(|join| join.target == target);
        let join = wanted.cloned().unwrap_or_else(|| Join::new(target));
        let mut channel = joined.enter::<P, S>(JoinedBy::Server, 0, &join, None).await?;
        if let Some(welcome) = joined.welcome(&mut channel).await.map_err(Denied::Layer)? {
            entered.push((channel, welcome));
        }
    }
    let channels: Vec<_> =
        entered.iter().map(|(channel, welcome)| (channel.registration.channel(), welcome)).collect();
    let connected = Connected {
        client: joined.client(),
        sends_to: joined.sends_to(),
        identity: socket.identity(),
        is_refresh: false,
        channels: &channels,
    };
    let answer = P::connected(number, &connected);
    for (channel, _) in entered {
        joined.add(channel);
    }
    Ok(answer.map_or(Action::Nothing, Action::Send))
}

/// Gives the client of a socket another token, of the same user.
///
/// # Errors
/// Returns [`Refused`] for a token that has expired, and when the layer does not answer; the client
/// may send another one.
pub(crate) async fn refresh<P: Protocol>(
    joined: &Joined,
    number: u32,
    token: &str,
) -> Result<Action, Refused> {
    let (context, socket) = (joined.context(), joined.socket());
    let identity = match Identity::from_token(context.auth(), token).await {
        Ok(identity) => identity,
        Err(error) => return refuse_token(&error),
    };
    if identity.id() != socket.identity().id() {
        return Ok(Action::Close(Close::new(CloseCode::LoginEnded, INVALID_TOKEN)));
    }
    socket.identity().renew(identity.expires_at());
    if let Some(info) = identity.info() {
        socket.identity().set_info(info);
    }
    // If that is later, the client is asked once more than is needed.
    socket.ask_at(context.seconds_after(socket.identity().valid_for()));
    let connected = Connected {
        client: joined.client(),
        sends_to: joined.sends_to(),
        identity: socket.identity(),
        is_refresh: true,
        channels: &[],
    };
    Ok(P::connected(number, &connected).map_or(Action::Nothing, Action::Send))
}

/// Gives the client of a socket another token for a channel that it has joined.
///
/// # Errors
/// Returns [`Refused`] for a token that is not valid, and unless the channel is joined.
pub(crate) fn refresh_join<P: Protocol>(
    joined: &Joined,
    number: u32,
    target: &Target<'_>,
    token: &str,
) -> Result<Action, Refused> {
    let subscription = joined.find(Some(target)).ok_or(Refused::NotJoined)?;
    let claims = check_channel_token(joined, target, token)?;
    subscription.renew(claims.exp);
    if claims.info.is_some() && subscription.joined_by() != JoinedBy::Path {
        joined.set_channel_info(subscription.channel(), claims.info);
    }
    joined.socket().ask_at(joined.context().seconds_after(subscription.valid_for()));
    let answer = P::join_refreshed(number, subscription.channel(), subscription.expires_in());
    Ok(answer.map_or(Action::Nothing, Action::Send))
}

/// Checks a token for a channel: of this client, and of no other channel.
///
/// # Errors
/// Returns [`Refused`] unless it is valid.
pub(crate) fn check_channel_token(
    joined: &Joined,
    target: &Target<'_>,
    token: &str,
) -> Result<ChannelClaims, Refused> {
    let (context, identity) = (joined.context(), joined.socket().identity());
    let forbidden = || Denied::Forbidden(Reason::new("`token`: expected one for this channel and client"));
    let claims = context.auth().tokens().ok_or_else(forbidden)?.verify_for_channel(token);
    match claims {
        Err(TokenError::Expired) => Err(Refused::TokenExpired),
        Ok(claims) if claims.channel == target.name && identity.is_subject(&claims.sub) => Ok(claims),
        Ok(_) | Err(_) => Err(forbidden().into()),
    }
}

/// Answers a token that is not accepted.
fn refuse_token(error: &AuthError) -> Result<Action, Refused> {
    match error {
        AuthError::Expired => Err(Refused::TokenExpired),
        AuthError::Invalid { .. } => Ok(Action::Close(Close::new(CloseCode::LoginEnded, INVALID_TOKEN))),
        AuthError::Banned => Ok(Action::Close(Close::new(CloseCode::Forbidden, "banned"))),
        AuthError::Unavailable(_) | AuthError::Busy => Err(Refused::TryAgain),
    }
}
