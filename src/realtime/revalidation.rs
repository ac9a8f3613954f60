//! Revalidation: asks again whether the clients of open sockets may stay, as at the handshake: who
//! the client is, and whether it may be where it is.
//!
//! Changes reach every node as disconnect commands. This module covers identities that expire, and
//! changes that a node may have missed: while it was disconnected from the layer, and when the
//! layer lost the log of commands.

use std::any::TypeId;
use std::collections::HashMap;
use std::time::Duration;

use futures_util::{TryStreamExt, stream};
use tokio::time::sleep;

use crate::auth::accounts::Accounts;
use crate::auth::api_keys::ApiKeys;
use crate::auth::identity::{Identity, Role};
use crate::auth::{guests, sessions};
use crate::http::context::Context;
use crate::http::response::Refusal;
use crate::layer::Disconnect;
use crate::layer::LayerError;
use crate::realtime::access::Grant;
use crate::realtime::denied::Denied;
use crate::realtime::hub::Registered;
use crate::realtime::registration::Registration;
use crate::realtime::subscription::Subscription;
use crate::wire::close::{Close, CloseCode};
use crate::wire::time::now;

/// Questions that are asked at the same time.
const PARALLEL_QUESTIONS: usize = 64;
/// The pause after each of them at a slow pace: some 2,000 questions a second.
const SLOW_PAUSE: Duration = Duration::from_millis(32);

/// How fast sockets are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Beside the work of the node.
    Slow,
    /// All other work waits for the answers.
    AtOnce,
}

/// What is asked once for all sockets to which it applies: an access, a name there, and a client.
type Question = (TypeId, Box<str>, Box<str>);

/// Asks whether these sockets may stay, and closes those that may not.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer; no socket is closed because of it.
pub(crate) async fn run(context: &Context, due: Vec<Registered>, pace: Pace) -> Result<(), LayerError> {
    let mut questions: HashMap<Question, Vec<Registered>> = HashMap::new();
    for registered in due {
        questions.entry(question(&registered)).or_default().push(registered);
    }
    let questions: Vec<Vec<Registered>> = questions.into_values().collect();
    for questions in questions.chunks(PARALLEL_QUESTIONS) {
        let asked = stream::iter(questions.iter().map(Ok));
        asked.try_for_each_concurrent(None, |sockets| settle(context, sockets)).await?;
        if pace == Pace::Slow {
            sleep(SLOW_PAUSE).await;
        }
    }
    Ok(())
}

/// Asks again for a socket that is being admitted, if all others were asked since its request
/// arrived.
///
/// # Errors
/// Returns a refusal when it may not enter any more, and 503 when the layer does not answer.
pub(crate) async fn check_admitted(registration: &Registration) -> Result<(), Refusal> {
    let (socket, subscription) = (registration.socket(), registration.subscription());
    if !registration.were_asked_since(subscription.opened_at()) {
        return Ok(());
    }
    match verdict(registration.context(), socket.identity(), subscription).await? {
        Ok(grant) => match mismatch(&grant, subscription) {
            None => Ok(()),
            Some(_) => Err(Refusal::unavailable("what you enter has changed meanwhile: try again")),
        },
        Err(close) => Err(Refusal::forbidden(close.reason().to_owned())),
    }
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
    (subscription.access().key(), subscription.name().into(), client.into())
}

/// Asks one question, and closes its sockets or keeps them.
async fn settle(context: &Context, sockets: &[Registered]) -> Result<(), LayerError> {
    let Some(Registered { socket: first, subscription }) = sockets.first() else { return Ok(()) };
    let mut unanswered = Unanswered::begin(sockets);
    let verdict = verdict(context, first.identity(), subscription).await?;
    for Registered { socket, subscription } in unanswered.finish() {
        let close = match &verdict {
            Ok(grant) => mismatch(grant, subscription),
            Err(close) => Some(close.clone()),
        };
        match close {
            Some(close) => socket.close(&close),
            // Or earlier, if that was wished while the layer answered.
            None => socket.ask_at(context.seconds_after(socket.identity().valid_for())),
        }
    }
    Ok(())
}

/// Sockets whose question has no answer yet. They are due again if it gets none.
struct Unanswered<'a>(&'a [Registered]);

impl<'a> Unanswered<'a> {
    fn begin(sockets: &'a [Registered]) -> Self {
        for Registered { socket, .. } in sockets {
            socket.set_known_until(u32::MAX);
        }
        Self(sockets)
    }

    /// Returns the sockets, whose question has an answer.
    fn finish(&mut self) -> &'a [Registered] {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        for Registered { socket, .. } in self.0 {
            socket.ask_at(0);
        }
    }
}

/// Returns what the client may enter under this name now, or how to close its sockets.
async fn verdict(
    context: &Context,
    identity: &Identity,
    subscription: &Subscription,
) -> Result<Result<Grant, Close>, LayerError> {
    // What was remembered is from before the question.
    context.store().forget_absences();
    let answer = async {
        if let Some(close) = identity_verdict(context, identity).await? {
            return Ok(Err(close));
        }
        match subscription.access().grant(context, identity, subscription.name()).await {
            Ok(grant) => Ok(Ok(grant)),
            Err(Denied::Layer(error)) => Err(error),
            Err(Denied::LoginRequired(_)) => Ok(Err(CloseCode::LoginEnded.into())),
            Err(Denied::BadName(_) | Denied::Forbidden(_) | Denied::NotFound) => {
                Ok(Err(Close::new(CloseCode::Forbidden, "no longer permitted here")))
            }
        }
    };
    match answer.await {
        // A corrupt record must not keep the node from asking about the other clients.
        Err(error) if !error.is_retryable() => {
            Ok(Err(Close::new(CloseCode::InternalError, "what is stored of this client is corrupt")))
        }
        answer => answer,
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
        // A token expires and cannot be renewed.
        (_, None) if identity.expires_at().is_some_and(|time| time <= now()) => return Ok(Some(gone)),
        (_, None) => (Accounts { store }).find_by_id(identity.id()).await?,
        (_, Some(hash)) => sessions::find(store, hash, context.session_ttl()).await?,
    };
    Ok(match account {
        None => Some(gone),
        Some(account) if account.banned => Some(banned),
        Some(account) if account.staff != identity.is_staff() => Some(CloseCode::ServiceRestart.into()),
        Some(_) => None,
    })
}
