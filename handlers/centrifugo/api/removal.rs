//! The method that removes all messages of a channel.

use parlor::{Broker, LayerError, Request};
use serde::Deserialize;
use serde_json::json;

use crate::centrifugo::api::answer::Answer;
use crate::centrifugo::api::channel;
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::centrifugo::replies::raw;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryRemove {
    channel: String,
}

pub(super) async fn history_remove(request: &Request, params: HistoryRemove) -> Result<Answer, ErrorCode> {
    let room = channel::chat(request, &params.channel).await?;
    let (context, who) = (request.context(), request.identity().name());
    let failed = |error: LayerError| ErrorCode::from(&error);
    context.audit(who, "remove_all", room.name()).await.map_err(failed)?;
    context.layer().clear_log(&room.chat_group()).await.map_err(failed)?;
    Ok(raw(&json!({})))
}
