//! The page of the rooms that have members.

use std::collections::BTreeSet;

use minijinja::context;
use minijinja::value::Serde;
use parlor::{Context, Control, LayerError, Presence, Refusal, Request, Response, StatusCode};
use serde::Serialize;

use crate::admin::closure;
use crate::rooms::groups;
use crate::rooms::name;
use crate::rooms::name::Name;
use crate::rooms::record::RoomRecord;

/// The most rooms on the page.
const MAX_SHOWN_ROOMS: usize = 50;

/// A row of the page.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    name: String,
    people: usize,
    /// Messages in the last minute, extrapolated from the newest ones if there are too many to
    /// count.
    per_minute: u64,
    /// Messages in its log.
    kept: usize,
    private: bool,
    closed: bool,
}

/// `GET /admin/rooms/`, `?room=` to go to any room.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let wanted = request.query("room").unwrap_or_default();
    if !wanted.trim().is_empty() {
        let name = Name::parse_any(request.context(), wanted.trim())?;
        return Ok(Response::redirect(
            StatusCode::SEE_OTHER,
            &request.url("admin_room", &[("room", name.as_str())]),
        ));
    }
    let (rows, talks) = figures(request.context()).await?;
    request.render("admin_rooms.html", context! { rows => Serde(rows), talks })
}

/// Returns the rooms with the most members, then the closed ones, and the number of private chats.
pub(super) async fn figures(context: &Context) -> Result<(Vec<Figures>, usize), LayerError> {
    let groups = context.layer().groups().await?;
    let rooms: Vec<_> =
        groups.iter().filter_map(|(group, people)| Some((groups::room_of(group)?, *people))).collect();
    let talks = groups.iter().filter(|(group, _)| groups::is_conversation(group)).count();
    let closed = closure::newest(context, MAX_SHOWN_ROOMS).await?;
    let open: BTreeSet<&str> = rooms.iter().map(|(name, _)| *name).collect();
    let closed = closed.iter().map(|name| (name.as_str(), 0)).filter(|(name, _)| !open.contains(name));
    let shown: Vec<_> = rooms.iter().copied().take(MAX_SHOWN_ROOMS).chain(closed).collect();
    let keys: Vec<String> = shown.iter().map(|(name, _)| RoomRecord::key(name)).collect();
    let records = context.store().read_all::<RoomRecord>(&keys).await?;
    let groups: Vec<_> = shown.iter().map(|(name, _)| groups::chat_group(name)).collect();
    let logs = context.layer().log_figures(&groups).await?;
    let figures = shown.iter().zip(records).zip(logs).map(|((&(name, people), record), log)| {
        let RoomRecord { private, closed, .. } = record.unwrap_or_default();
        Figures {
            name: name.to_owned(),
            people,
            per_minute: log.per_minute,
            kept: log.events,
            private: private || name::is_limited(name),
            closed,
        }
    });
    Ok((figures.collect(), talks))
}
