//! The methods that publish.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use parlor::{Appended, Request};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::centrifugo::api::answer::{Answer, outcome};
use crate::centrifugo::api::channel;
use crate::centrifugo::api::params::{MAX_ITEMS, bad_params};
use crate::chat::channel::message;
use crate::protocols::centrifugo::error::{Error, ErrorCode};
use crate::protocols::centrifugo::position::epoch;
use crate::protocols::centrifugo::replies::raw;
use crate::protocols::centrifugo::requests::text_of;
use crate::protocols::data;

/// The longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    channel: String,
    data: Box<RawValue>,
    idempotency_key: Option<String>,
    #[serde(default)]
    skip_history: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broadcast {
    channels: Vec<String>,
    data: Box<RawValue>,
    idempotency_key: Option<String>,
    #[serde(default)]
    skip_history: bool,
}

pub(super) async fn publish(request: &Request, params: Publish) -> Result<Answer, Error> {
    let data = params.data.get();
    let key = params.idempotency_key.as_deref();
    let max_bytes = request.context().config().max_message_bytes;
    if data.len() > max_bytes {
        return Err(bad_params(&format!("`data`: expected up to {max_bytes} bytes")));
    }
    if key.is_some_and(|key| key.len() > MAX_KEY_BYTES) {
        return Err(bad_params(&format!("`idempotency_key`: expected up to {MAX_KEY_BYTES} bytes")));
    }
    if params.skip_history && key.is_some() {
        return Err(ErrorCode::NotAvailable.into()); // only what is logged is known to be the same
    }
    let room = channel::chat(request, &params.channel).await?;
    let (context, group) = (request.context(), room.chat_group());
    let data = data::readable(data).ok_or(ErrorCode::BadRequest)?;
    let message = message(&text_of(&data), Some(&data), None);
    if params.skip_history {
        context.publish(&group, &message).await.map_err(|error| ErrorCode::from(&error))?;
        return Ok(raw(&json!({})));
    }
    let appended = context.append_from(request.identity(), &group, &message, key).await;
    match appended.map_err(|error| ErrorCode::from(&error))? {
        Appended::New(_, Some(offset)) | Appended::Duplicate(_, Some(offset)) => {
            Ok(raw(&json!({ "offset": offset.n, "epoch": epoch(offset.epoch) })))
        }
        Appended::New(_, None) | Appended::Duplicate(_, None) => Ok(raw(&json!({}))),
        Appended::Conflict => Err(bad_params("`idempotency_key`: another message has it")),
    }
}

/// Publishes the same data in many channels, each as [`publish`] does.
pub(super) async fn broadcast(request: &Request, params: Broadcast) -> Result<Answer, Error> {
    let Broadcast { channels, data, idempotency_key, skip_history } = params;
    if !(1..=MAX_ITEMS).contains(&channels.len()) {
        return Err(bad_params(&format!("`channels`: expected 1 to {MAX_ITEMS}")));
    }
    let each = channels.into_iter().map(|channel| {
        let params =
            Publish { channel, data: data.clone(), idempotency_key: idempotency_key.clone(), skip_history };
        async move {
            let charged = request.charge_item().map_err(|_| ErrorCode::TooManyRequests);
            match charged {
                Ok(()) => outcome("result", publish(request, params).await),
                Err(code) => outcome("result", Err(code)),
            }
        }
    });
    Ok(raw(&BTreeMap::from([("responses", join_all(each).await)])))
}
