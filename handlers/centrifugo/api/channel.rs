//! The rooms that programs name as channels.

use parlor::{Denied, Group, Request};

use crate::protocols::centrifugo::channel;
use crate::protocols::centrifugo::error::ErrorCode;
use crate::protocols::streams::CHAT;
use crate::rooms::room::Room;

/// Returns the room whose chat a channel is.
///
/// # Errors
/// Returns [`ErrorCode::UnknownChannel`] for a push stream and for what is no room of the API.
pub(super) async fn chat(request: &Request, channel: &str) -> Result<Room, ErrorCode> {
    let target = channel::target(channel).ok_or(ErrorCode::BadRequest)?;
    if target.stream != CHAT {
        return Err(ErrorCode::UnknownChannel);
    }
    room(request, channel).await
}

/// Returns the room of a channel, and the group that the channel is.
///
/// # Errors
/// Returns [`ErrorCode::UnknownChannel`] for what is no room of the API.
pub(super) async fn group(request: &Request, channel: &str) -> Result<(Room, Group), ErrorCode> {
    let target = channel::target(channel).ok_or(ErrorCode::BadRequest)?;
    let room = room(request, channel).await?;
    let group = if target.stream == CHAT { room.chat_group() } else { room.push_group() };
    Ok((room, group))
}

async fn room(request: &Request, channel: &str) -> Result<Room, ErrorCode> {
    let room = Room::find_for_api(request.context(), &channel::room(channel)).await;
    room.map_err(|denied| match denied {
        Denied::Layer(error) => ErrorCode::from(&error),
        _ => ErrorCode::UnknownChannel,
    })
}
