//! The methods that end connections and subscriptions of a user.

use parlor::{CloseCode, Group, LayerError, Request};
use serde::Deserialize;
use serde_json::json;

use crate::centrifugo::api::answer::Answer;
use crate::centrifugo::api::channel;
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::centrifugo::replies::raw;
use crate::rooms::room::Room;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disconnect {
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unsubscribe {
    user: String,
    channel: String,
}

pub(super) async fn disconnect(request: &Request, params: Disconnect) -> Result<Answer, ErrorCode> {
    end(request, &params.user, None).await
}

pub(super) async fn unsubscribe(request: &Request, params: Unsubscribe) -> Result<Answer, ErrorCode> {
    let (room, group) = channel::group(request, &params.channel).await?;
    end(request, &params.user, Some((room, group))).await
}

/// Ends the connections of a user, or their subscriptions to a channel.
async fn end(request: &Request, user: &str, of: Option<(Room, Group)>) -> Result<Answer, ErrorCode> {
    let context = request.context();
    let failed = |error: &LayerError| ErrorCode::from(error);
    if user.is_empty() {
        return Err(ErrorCode::BadRequest);
    }
    let found = context.find_by_subject(user).await.map_err(|error| failed(&error))?;
    // A user without connections has none to end.
    let Some(id) = found else { return Ok(raw(&json!({}))) };
    let about = of.as_ref().map_or_else(|| id.clone(), |(room, _)| format!("{id}: {}", room.name()));
    context.audit(request.identity().name(), "disconnect", &about).await.map_err(|error| failed(&error))?;
    let group = of.map(|(_, group)| group);
    let ended = context.disconnect_user(&id, group.as_ref(), CloseCode::Forbidden, "disconnected").await;
    ended.map_err(|error| failed(&error))?;
    Ok(raw(&json!({})))
}
