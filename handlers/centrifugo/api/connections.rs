//! The methods that change connections of a user: they are subscribed, or last longer or shorter.

use parlor::{
    Access, Channel, CloseCode, ConnectionChange, Context, Identity, Instruction, LayerError, Refused,
    Request, StreamPosition, TOKEN_EXPIRED, now,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::centrifugo::access::{ChannelAccess, ChatChannelAccess};
use crate::centrifugo::api::answer::Answer;
use crate::centrifugo::api::channel;
use crate::centrifugo::api::reads::Since;
use crate::chat::channel::Chat;
use crate::protocols::centrifugo::channel::target;
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::centrifugo::position::position;
use crate::protocols::centrifugo::replies::raw;
use crate::push::access::PushAccess;

/// The longest id of a connection, in bytes.
const MAX_CLIENT_BYTES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    user: String,
    channel: String,
    #[serde(default)]
    client: String,
    recover_since: Option<Since>,
    #[serde(default)]
    expire_at: u64,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    user: String,
    #[serde(default)]
    client: String,
    #[serde(default)]
    expired: bool,
    #[serde(default)]
    expire_at: u64,
    info: Option<Box<RawValue>>,
}

pub(super) async fn subscribe(request: &Request, params: Subscribe) -> Result<Answer, ErrorCode> {
    let Subscribe { user, channel, client, recover_since, expire_at, info, b64info } = params;
    let info = text(info.as_deref(), b64info.as_deref())?;
    let expires_at = Some(expire_at).filter(|time| *time > 0);
    if expires_at.is_some_and(is_past) {
        return Err(ErrorCode::BadRequest);
    }
    channel::group(request, &channel).await?;
    let Some(id) = find(request.context(), &user, &client).await? else { return Ok(raw(&json!({}))) };
    may_enter(request.context(), &id, &channel).await?;
    let stream = target(&channel).ok_or(ErrorCode::BadRequest)?.stream.to_owned();
    let since = recover_since.map(|since| position(&since.epoch, since.offset));
    let since = since.map(|StreamPosition { epoch, offset }| (epoch, offset));
    let change = ConnectionChange::Subscribe { stream, name: channel, since, expires_at, info };
    instruct(request.context(), id, client, change).await
}

pub(super) async fn refresh(request: &Request, params: Refresh) -> Result<Answer, ErrorCode> {
    let Refresh { user, client, expired, expire_at, info } = params;
    let info = text(info.as_deref(), None)?;
    let context = request.context();
    let is_expired = expired || (expire_at > 0 && is_past(expire_at));
    // Only where tokens need no end, a connection needs none.
    if !is_expired && expire_at == 0 && !context.config().tokens.are_weak() {
        return Err(ErrorCode::BadRequest);
    }
    let Some(id) = find(context, &user, &client).await? else { return Ok(raw(&json!({}))) };
    let failed = |error: LayerError| ErrorCode::from(&error);
    let account = context.accounts().find_by_id(&id).await.map_err(failed)?;
    // A login is not a token: it ends by `disconnect`, and nothing prolongs it.
    if !account.is_some_and(|account| account.by_token()) {
        return Err(ErrorCode::NotAvailable);
    }
    let what = if is_expired { "expire" } else { "refresh" };
    context.audit(request.identity().name(), what, &id).await.map_err(failed)?;
    if is_expired && client.is_empty() {
        let ended = context.disconnect_user(&id, None, CloseCode::LoginEnded, TOKEN_EXPIRED).await;
        return ended.map(|()| raw(&json!({}))).map_err(failed);
    }
    let change = if is_expired {
        ConnectionChange::Expire
    } else {
        ConnectionChange::Refresh { expires_at: Some(expire_at).filter(|time| *time > 0), info }
    };
    instruct(context, id, client, change).await
}

/// Returns the info that is given as JSON or in base64.
fn text(json: Option<&RawValue>, base64: Option<&str>) -> Result<Option<String>, ErrorCode> {
    let info = parlor::info(json, base64).map_err(|_| ErrorCode::BadRequest)?;
    Ok(info.map(|info| (*info).to_owned()))
}

/// Returns whether a time has come, in seconds since 1970.
fn is_past(seconds: u64) -> bool {
    seconds.saturating_mul(1000) <= now()
}

/// Returns the id of a user; `None` if there is none, who then has no connections.
async fn find(context: &Context, user: &str, client: &str) -> Result<Option<String>, ErrorCode> {
    if user.is_empty() || client.len() > MAX_CLIENT_BYTES {
        return Err(ErrorCode::BadRequest);
    }
    context.find_by_subject(user).await.map_err(|error| ErrorCode::from(&error))
}

/// Checks that a user may enter a channel. Of one without an account it is known at its connections
/// only.
async fn may_enter(context: &Context, id: &str, channel: &str) -> Result<(), ErrorCode> {
    let account = context.accounts().find_by_id(id).await.map_err(|error| ErrorCode::from(&error))?;
    let Some(account) = account else { return Ok(()) };
    let identity = Identity::of_account(&account);
    let is_chat = target(channel).is_some_and(|target| target.stream == Chat::STREAM);
    let granted = if is_chat {
        ChatChannelAccess::grant(context, &identity, channel).await
    } else {
        ChannelAccess::<PushAccess>::grant(context, &identity, channel).await
    };
    granted.map(|_| ()).map_err(|denied| ErrorCode::from(&Refused::from(denied)))
}

async fn instruct(
    context: &Context,
    user: String,
    client: String,
    change: ConnectionChange,
) -> Result<Answer, ErrorCode> {
    let client = Some(client).filter(|client| !client.is_empty());
    let given = context.instruct(&Instruction { user, client, change }).await;
    given.map(|()| raw(&json!({}))).map_err(|error| ErrorCode::from(&error))
}
