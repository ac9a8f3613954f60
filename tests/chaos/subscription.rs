//! A client in one of its rooms: whether it has joined, and where it goes on.

use std::collections::HashSet;

use tokio::time::Instant;

use super::line::{Received, Since, Welcome};
use super::record::Action;

pub struct Subscription {
    /// The index of the record.
    pub index: usize,
    /// The room's number in the run.
    pub room: usize,
    pub stage: Stage,
    /// What the client joins with.
    pub since: Since,
    /// What it goes on from, also where it joins without it.
    resumes: Option<String>,
    known: HashSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The client joins at this time.
    Outside {
        join_at: Instant,
    },
    Joining,
    Inside,
    Leaving,
}

impl Subscription {
    pub fn new(index: usize, room: usize) -> Self {
        let stage = Stage::Outside { join_at: Instant::now() };
        Self { index, room, stage, since: Since::default(), resumes: None, known: HashSet::new() }
    }

    pub fn is_inside(&self) -> bool {
        self.stage == Stage::Inside
    }

    /// When the client joins, if it is not in the room.
    pub fn join_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Outside { join_at } => Some(join_at),
            _ => None,
        }
    }

    /// What the client goes on from, as a text for the record.
    pub fn resumes(&self) -> Option<String> {
        self.resumes.clone()
    }

    /// The client is in the room.
    pub fn join(&mut self, welcome: &Welcome) -> Action {
        self.stage = Stage::Inside;
        let since = self.resumes();
        if let Some(position) = &welcome.position {
            self.since.position = Some(position.clone());
        } else if self.since.id.is_none() {
            // In an empty room every message is behind the start of the log.
            self.since.id = Some(welcome.last.clone().unwrap_or_else(|| "0-0".to_owned()));
        }
        self.remember();
        Action::Welcomed {
            node: welcome.node.clone(),
            user: welcome.user.clone(),
            since,
            recovered: welcome.recovered,
            reason: welcome.reason.clone(),
            last: welcome.last.clone(),
            position: welcome.position.clone(),
        }
    }

    /// The server has refused to go on from the client's position: the client joins without it.
    pub fn forget_position(&mut self) {
        self.since.position = None;
    }

    /// Takes a message. Returns its id if the client had not received it before.
    pub fn receive(&mut self, received: &Received) -> Option<String> {
        let is_in_room = matches!(self.stage, Stage::Inside | Stage::Leaving);
        assert!(is_in_room, "a message before the room was joined, or after it was left: {received:?}");
        if let Some(position) = &received.position {
            self.since.position = Some(position.clone());
        }
        let id = received.id.clone().filter(|id| self.known.insert(id.clone()));
        if self.since.id.is_some() && id.is_some() {
            self.since.id.clone_from(&id);
        }
        self.remember();
        id
    }

    fn remember(&mut self) {
        let position = self.since.position.as_ref().map(ToString::to_string);
        self.resumes = self.since.id.clone().or(position);
    }
}
