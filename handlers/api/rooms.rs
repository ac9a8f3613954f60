//! The rooms that have members.

use parlor::{Presence, Refusal, Request, Response, StatusCode};
use serde::Serialize;

use crate::rooms::groups;

#[derive(Serialize)]
struct Rooms<'a> {
    rooms: Vec<Room<'a>>,
}

#[derive(Serialize)]
struct Room<'a> {
    room: &'a str,
    members: usize,
}

/// Answers `GET /api/rooms`: the rooms by their members, most first.
pub(crate) async fn list(request: Request) -> Result<Response, Refusal> {
    let groups = request.context().layer().groups().await?;
    let rooms = groups
        .iter()
        .filter_map(|(group, members)| Some(Room { room: groups::room_of(group)?, members: *members }));
    Ok(super::answer(StatusCode::OK, &Rooms { rooms: rooms.collect() }))
}
