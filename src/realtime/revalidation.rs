//! Revalidation: asks again whether the clients of open sockets may stay, as at the handshake: who
//! the client is, and whether it may be where it is.
//!
//! Changes reach every node as disconnect commands. This module covers identities that expire, and
//! changes that a node may have missed: while it was disconnected from the layer, and when the
//! layer lost the log of commands.

use std::any::TypeId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::{TryStreamExt, stream};
use tokio::time::sleep;

use crate::auth::accounts::Accounts;
use crate::auth::api_keys::ApiKeys;
use crate::auth::identity::{Identity, Role};
use crate::auth::{guests, sessions};
use crate::http::context::Context;
use crate::layer::Disconnect;
use crate::layer::LayerError;
use crate::realtime::access::Grant;
use crate::realtime::denied::Denied;
use crate::realtime::registered::Registered;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Subscription;
use crate::wire::close::{Close, CloseCode};

/// Questions that are asked at the same time.
const PARALLEL_QUESTIONS: usize = 64;
/// The pause after each of them at a slow pace: some 2,000 questions a second.
const SLOW_PAUSE: Duration = Duration::from_millis(32);

/// Why a socket is closed whose client had a token until now.
pub const TOKEN_EXPIRED: &str = "the token has expired";

/// How fast sockets are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Beside the work of the node.
    Slow,
    /// All other work waits for the answers.
    AtOnce,
}

/// What is asked once for all sockets to which it applies: an access and a name there, and a
/// client.
type Question = (Option<(TypeId, Box<str>)>, Box<str>);

/// What became of a client and of its access to a channel.
pub(crate) enum Verdict {
    /// It is who it was. It may enter this; or no channel was in question.
    Granted(Option<Grant>),
    /// It is no longer who it was: its sockets are closed.
    Gone(Close),
    /// It may not enter the channel any more.
    NotPermitted(Close),
    /// What it may enter is not what it entered.
    Unsuitable(Close),
}

/// Asks whether these sockets may stay, and ends those that may not.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer; no socket is closed because of it.
pub(crate) async fn run(realtime: &Realtime, due: Vec<Registered>, pace: Pace) -> Result<(), LayerError> {
    let mut questions: HashMap<Question, Unanswered> = HashMap::new();
    for registered in due {
        questions.entry(question(&registered)).or_default().0.push(registered);
    }
    let mut questions: Vec<Unanswered> = questions.into_values().collect();
    for questions in questions.chunks_mut(PARALLEL_QUESTIONS) {
        let asked = stream::iter(questions.iter_mut().map(Ok));
        asked.try_for_each_concurrent(None, |sockets| settle(realtime, sockets)).await?;
        if pace == Pace::Slow {
            sleep(SLOW_PAUSE).await;
        }
    }
    Ok(())
}

/// Asks again for a subscription that is being admitted, if all others were asked since its request
/// arrived, at `opened_at`. Returns why it may not be admitted any more.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn check_admitted(
    realtime: &Realtime,
    subscription: &Subscription,
    opened_at: Instant,
) -> Result<Option<Verdict>, LayerError> {
    if !realtime.hub().were_asked_since(opened_at) {
        return Ok(None);
    }
    let verdict = verdict(realtime.context(), subscription.socket().identity(), Some(subscription)).await?;
    Ok(Some(verdict.of(Some(subscription))).filter(|verdict| !matches!(verdict, Verdict::Granted(_))))
}

/// Asks again who the client of a socket is that connects, if all others were asked since its
/// request arrived, at `opened_at`. Returns how to close it, if it may not stay.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn check_connected(
    realtime: &Realtime,
    socket: &Socket,
    opened_at: Instant,
) -> Result<Option<Close>, LayerError> {
    if !realtime.hub().were_asked_since(opened_at) {
        return Ok(None);
    }
    identity_verdict(realtime.context(), socket.identity()).await
}

fn question(Registered { socket, subscription }: &Registered) -> Question {
    let identity = socket.identity();
    let client = match identity.role() {
        Role::Anonymous => String::new(),
        // Each token of a user expires at its own time, and each login ends alone.
        _ => format!(
            "{} {} {}",
            identity.member(),
            identity.login().unwrap_or_default(),
            identity.expires_at().unwrap_or_default()
        ),
    };
    let channel = subscription.as_ref().map(|it| (it.entrance().access(), it.name().into()));
    (channel, client.into())
}

/// Asks one question, and ends its sockets and subscriptions or keeps them.
async fn settle(realtime: &Realtime, unanswered: &mut Unanswered) -> Result<(), LayerError> {
    let context = realtime.context();
    let Some(Registered { socket: first, subscription }) = unanswered.0.first() else { return Ok(()) };
    let verdict = verdict(context, first.identity(), subscription.as_deref()).await?;
    for registered in std::mem::take(&mut unanswered.0) {
        let Registered { socket, subscription } = &registered;
        match verdict.of(subscription.as_deref()) {
            // Or earlier, if that was wished while the layer answered.
            Verdict::Granted(_) => socket.ask_at(context.seconds_after(registered.valid_for())),
            Verdict::Gone(close) => socket.close(&close),
            Verdict::NotPermitted(close) | Verdict::Unsuitable(close) => {
                realtime.hub().end(&registered, &close);
            }
        }
    }
    Ok(())
}

/// Sockets whose question has no answer yet. They are due again if it gets none.
#[derive(Default)]
struct Unanswered(Vec<Registered>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        for Registered { socket, .. } in &self.0 {
            socket.ask_at(0);
        }
    }
}

/// Returns what the client may enter under this name now.
async fn verdict(
    context: &Context,
    identity: &Identity,
    subscription: Option<&Subscription>,
) -> Result<Verdict, LayerError> {
    // What was remembered is from before the question.
    context.store().forget_absences();
    let answer = async {
        if let Some(close) = identity_verdict(context, identity).await? {
            return Ok(Verdict::Gone(close));
        }
        let Some(subscription) = subscription else { return Ok(Verdict::Granted(None)) };
        match subscription.entrance().grant(context, identity, subscription.name()).await {
            Ok(grant) => Ok(Verdict::Granted(Some(grant))),
            Err(Denied::Layer(error)) => Err(error),
            Err(Denied::LoginRequired(_)) => Ok(Verdict::NotPermitted(CloseCode::LoginEnded.into())),
            Err(Denied::BadName(_) | Denied::Forbidden(_) | Denied::NotFound) => {
                Ok(Verdict::NotPermitted(Close::new(CloseCode::Forbidden, "no longer permitted here")))
            }
        }
    };
    match answer.await {
        // A corrupt record must not keep the node from asking about the other clients.
        Err(error) if !error.is_retryable() => Ok(Verdict::Gone(Close::new(
            CloseCode::InternalError,
            "what is stored of this client is corrupt",
        ))),
        answer => answer,
    }
}

impl Verdict {
    /// Returns what it is for one of the subscriptions that it was asked for.
    fn of(&self, subscription: Option<&Subscription>) -> Self {
        match (self, subscription) {
            (Self::Granted(_), Some(subscription)) if subscription.valid_for() == Some(Duration::ZERO) => {
                Self::NotPermitted(Close::new(CloseCode::LoginEnded, TOKEN_EXPIRED))
            }
            (Self::Granted(Some(grant)), Some(subscription)) => match mismatch(grant, subscription) {
                Some(close) => Self::Unsuitable(close),
                None => Self::Granted(None),
            },
            (Self::Granted(_), _) => Self::Granted(None),
            (Self::Gone(close), _) => Self::Gone(close.clone()),
            (Self::NotPermitted(close), _) => Self::NotPermitted(close.clone()),
            (Self::Unsuitable(close), _) => Self::Unsuitable(close.clone()),
        }
    }
}

/// Returns how to close a socket whose channel is not the one that it was admitted to; `None` if it
/// is.
fn mismatch(grant: &Grant, subscription: &Subscription) -> Option<Close> {
    if subscription.is_private() && !grant.is_private {
        // Final: what was meant for few must not be sent again by itself.
        return Some(Close::new(CloseCode::Forbidden, "no longer private"));
    }
    let is_same = grant.group == *subscription.group() && grant.is_private == subscription.is_private();
    (!is_same).then(|| Close::new(CloseCode::ServiceRestart, "what you entered has changed: connect again"))
}

/// Returns how to close the sockets of this client; `None` if it is still who it was.
async fn identity_verdict(context: &Context, identity: &Identity) -> Result<Option<Close>, LayerError> {
    let expired = || Close::new(CloseCode::LoginEnded, TOKEN_EXPIRED);
    let (gone, banned) = (Close::from(CloseCode::LoginEnded), Close::new(CloseCode::Forbidden, "banned"));
    let store = context.store();
    let account = match (identity.role(), identity.login()) {
        (Role::Anonymous, _) => return Ok(None),
        (Role::Key, _) => {
            let key = (ApiKeys { store }).find_by_id(identity.id()).await?;
            return Ok(key.is_none().then(|| Disconnect::revocation(identity.id()).close()));
        }
        (Role::Guest, _) => {
            if guests::is_banned(store, identity.id()).await? {
                return Ok(Some(banned));
            }
            let has_name = guests::has_name(store, identity.id(), identity.name()).await?;
            return Ok((!has_name).then(|| Disconnect::renewal(identity.id()).close()));
        }
        (_, None) if identity.has_ended() => return Ok(Some(expired())),
        (_, None) => (Accounts { store }).find_by_id(identity.id()).await?,
        (_, Some(hash)) => sessions::find(store, hash, context.session_ttl()).await?,
    };
    Ok(match account {
        // A token that is valid makes the account again, which Redis has lost.
        None if identity.login().is_none() => Some(CloseCode::ServiceRestart.into()),
        None => Some(gone),
        Some(account) if account.banned => Some(banned),
        Some(account) if account.staff != identity.is_staff() => Some(CloseCode::ServiceRestart.into()),
        Some(_) => None,
    })
}
