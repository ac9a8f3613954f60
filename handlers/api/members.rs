//! The members of a room.

use parlor::{Presence, Refusal, Request, Response, StatusCode};
use serde::Serialize;

use crate::protocols::v1::members_json::ListedMembers;
use crate::rooms::room::Room;

#[derive(Serialize)]
struct Present<'a> {
    room: &'a str,
    count: usize,
    /// `null` when there are too many to list.
    members: Option<Vec<Member<'a>>>,
}

#[derive(Serialize)]
struct Member<'a> {
    user: &'a str,
    name: &'a str,
}

/// `GET /api/rooms/{room}/members`.
pub(crate) async fn list(request: Request) -> Result<Response, Refusal> {
    let room = Room::from_api_path(&request).await?;
    let presence = request.context().layer().presence(&room.chat_group()).await?;
    let members = presence.members.as_ref().map(|members| {
        let listed = ListedMembers::parse(members.iter().map(String::as_str));
        listed.names.into_iter().map(|(user, name)| Member { user, name }).collect()
    });
    Ok(super::answer(StatusCode::OK, &Present { room: room.name(), count: presence.count, members }))
}
