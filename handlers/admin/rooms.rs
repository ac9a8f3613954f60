//! The page of the rooms that have members.

use std::collections::BTreeSet;

use minijinja::context;
use minijinja::value::Serde;
use parlor::{
    Broker, Context, Control, HistoryRange, Id, LayerError, Presence, Refusal, Request, Response, StatusCode,
    now,
};
use serde::Serialize;

use crate::admin::closure;
use crate::rooms::groups;
use crate::rooms::name::Name;
use crate::rooms::record::RoomRecord;

/// The most rooms on the page.
const MAX_SHOWN_ROOMS: usize = 50;
/// The newest messages from which the rate is estimated.
const RATE_SAMPLE_MESSAGES: usize = 60;
const MINUTE_MILLIS: u64 = 60_000;

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
        let name = Name::parse(request.context(), wanted.trim())?;
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
    let shown = rooms.iter().copied().take(MAX_SHOWN_ROOMS).chain(closed);
    let figures =
        futures_util::future::try_join_all(shown.map(|(name, people)| room(context, name, people))).await?;
    Ok((figures, talks))
}

async fn room(context: &Context, name: &str, people: usize) -> Result<Figures, LayerError> {
    let group = groups::chat_group(name);
    let record: RoomRecord = context.store().read(&RoomRecord::key(name)).await?.unwrap_or_default();
    let newest = context.layer().history(&group, HistoryRange::Before(None, RATE_SAMPLE_MESSAGES)).await?;
    let ids: Vec<Id> = newest.events.iter().filter_map(|event| Some(event.position()?.id)).collect();
    Ok(Figures {
        name: name.to_owned(),
        people,
        per_minute: per_minute(&ids, now()),
        kept: context.layer().log_size(&group).await?,
        private: record.private,
        closed: record.closed,
    })
}

/// Estimates the messages per minute from the newest ones, given the oldest first.
fn per_minute(ids: &[Id], now: u64) -> u64 {
    let age = |id: &Id| now.saturating_sub(id.millis());
    let recent = ids.iter().filter(|id| age(id) < MINUTE_MILLIS).count() as u64;
    match ids.first() {
        // The minute may have begun before the oldest of them.
        Some(first) if ids.len() >= RATE_SAMPLE_MESSAGES && age(first) < MINUTE_MILLIS => {
            recent * MINUTE_MILLIS / age(first).max(1)
        }
        _ => recent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_counted_or_estimated_from_the_newest() {
        let ids = |count: u64, every: u64| -> Vec<Id> {
            (0..count).rev().map(|n| format!("{}-0", 1_000_000 - n * every).parse().unwrap()).collect()
        };
        assert_eq!(per_minute(&[], 1_000_000), 0);
        assert_eq!(per_minute(&ids(5, 10_000), 1_000_000), 5);
        assert_eq!(per_minute(&ids(10, 10_000), 1_000_000), 6, "four of them are older");
        assert_eq!(per_minute(&ids(60, 100), 1_000_000), 610, "sixty within 5.9 s");
        assert_eq!(per_minute(&ids(60, 2_000), 1_000_000), 30, "sixty within two minutes");
    }
}
