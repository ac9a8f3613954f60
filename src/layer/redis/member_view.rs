//! This node's view of the users of one group: what its sockets know of them. Pure: time, events
//! and replies are passed in, and what the sockets have to be sent is returned.
//!
//! Redis says the digest before and after in every event. An event that does not begin where the
//! view ends shows that one was missed; the node looks then. Whatever Redis says, a socket is never
//! sent a join of a user who is in the view, nor a leave of one that is not.

use tokio::time::Instant;

use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::member::Member;
use crate::layer::presence::PresenceSnapshot;
use crate::layer::redis::effects::Effects;
use crate::layer::redis::seating::Seating;
use crate::wire::event::Event;

/// What Redis has of a group's users, as it says with each reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupState {
    pub(super) count: usize,
    /// Whether a state is to be published: 1, or 2 when nodes still have to write their users.
    pub(super) mark: u32,
    pub(super) digest: u64,
}

/// An event about the users of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PresenceEvent {
    pub(super) change: Change,
    pub(super) count: usize,
    /// The digest before.
    pub(super) from: u64,
    /// The digest after.
    pub(super) to: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Members that joined, or have another name now, and ids of users that left.
    Users { joined: Vec<String>, left: Vec<String> },
    /// All members, unless they are too many.
    State(Option<Vec<String>>),
    /// A node writes its users again: look whether one's own are there.
    Look,
}

/// What the node has to do after it took something into the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// Look at the group now.
    Look,
    /// Look at the group when lists are believed again.
    LookLater,
    /// Publish the state soon, unless another node does it.
    Tell,
}

#[derive(Default)]
pub(super) struct MemberView {
    known: Option<Known>,
    /// When lists are believed again: until a moment after a reconnection, other nodes may not have
    /// written again what a new server has lost.
    believes_at: Option<Instant>,
}

struct Known {
    count: usize,
    /// The count that the sockets were sent; that of a large group changes without them.
    told_count: usize,
    digest: u64,
    /// Users of this node share the texts of their sockets.
    members: Option<Vec<Member>>,
    version: u64,
}

impl PresenceEvent {
    /// Decodes an event of a script; `None` for another one.
    pub(super) fn decode(event: &Event) -> Option<Self> {
        let number = |name| event.text(name)?.parse().ok();
        let list = |name| -> Option<Vec<String>> {
            Some(event.text(name)?.split(' ').filter(|text| !text.is_empty()).map(str::to_owned).collect())
        };
        let change = match event.text("change")? {
            "users" => Change::Users {
                joined: list("joined").unwrap_or_default(),
                left: list("left").unwrap_or_default(),
            },
            "state" => Change::State(list("members")),
            "look" => Change::Look,
            _ => return None,
        };
        let count = event.text("count")?.parse().ok()?;
        Some(Self { change, count, from: number("from")?, to: number("to")? })
    }
}

impl MemberView {
    /// Returns the users as the sockets of this node know them.
    pub(super) fn snapshot(&self) -> Option<PresenceSnapshot> {
        let known = self.known.as_ref()?;
        let members = known.members.as_ref();
        let members = members.map(|all| all.iter().map(|member| member.text().to_owned()).collect());
        Some(PresenceSnapshot { count: known.count, members, version: known.version })
    }

    /// Returns whether there is a view.
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Returns whether the group has too many users for a list.
    pub(super) fn is_large(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.members.is_none())
    }

    /// Returns whether the user is in the list.
    pub(super) fn lists(&self, user: &str) -> bool {
        let members = self.known.as_ref().and_then(|known| known.members.as_ref());
        members.is_some_and(|members| find(members, user).is_some())
    }

    pub(super) fn digest(&self) -> Option<u64> {
        self.known.as_ref().map(|known| known.digest)
    }

    /// The node is connected again, maybe to another server.
    pub(super) fn believe_from(&mut self, at: Instant) {
        self.believes_at = Some(at);
    }

    pub(super) fn believes_at(&self) -> Option<Instant> {
        self.believes_at
    }

    /// Takes an event.
    pub(super) fn on_event(
        &mut self,
        event: PresenceEvent,
        seating: &Seating,
        effects: &mut Effects,
    ) -> Next {
        let Some(known) = &mut self.known else { return Next::Nothing }; // a look is on its way
        match event.change {
            Change::Look => Next::Look,
            _ if event.to == known.digest
                && event.count == known.count
                && event.count == known.told_count =>
            {
                Next::Nothing
            }
            Change::Users { joined, left } => {
                if event.from != known.digest || known.members.is_none() {
                    return Next::Look;
                }
                known.digest = event.to;
                for text in joined {
                    known.tell_joined(&seating.member(&text), effects);
                }
                for user in left {
                    known.tell_left(&user, effects);
                }
                if known.count == event.count { Next::Nothing } else { Next::Look }
            }
            Change::State(members) => {
                let state = GroupState { count: event.count, mark: 0, digest: event.to };
                if self.believes_at.is_some_and(|at| effects.now < at) {
                    return Next::LookLater;
                }
                self.take(&state, members, seating, effects);
                Next::Nothing
            }
        }
    }

    /// A user of this node has a seat: it is there, whatever was missed of the others.
    pub(super) fn on_seated(&mut self, member: &Member, effects: &mut Effects) {
        if let Some(known) = &mut self.known
            && let Some(members) = &known.members
            && find(members, member.user()).is_none()
        {
            known.tell_joined(member, effects);
        }
    }

    /// Takes the reply of a look.
    pub(super) fn on_look(
        &mut self,
        state: &GroupState,
        members: Option<Vec<String>>,
        seating: &Seating,
        effects: &mut Effects,
    ) -> Next {
        let Some(known) = &self.known else {
            self.known = Some(Known::new(state, members, seating, effects.next_version()));
            return if state.mark > 0 { Next::Tell } else { Next::Nothing };
        };
        if known.digest == state.digest && known.count == state.count {
            return if state.mark > 0 { Next::Tell } else { Next::Nothing };
        }
        if state.mark > 0 {
            return Next::Tell; // the state comes soon
        }
        if self.believes_at.is_some_and(|at| effects.now < at) {
            return Next::LookLater;
        }
        self.take(state, members, seating, effects);
        Next::Nothing
    }

    /// Takes what a reply says of a group whose changes are not published one by one.
    pub(super) fn on_state(&mut self, state: &GroupState) -> Next {
        if let Some(known) = &mut self.known
            && known.members.is_none()
            && state.count > MAX_LISTED_MEMBERS
        {
            (known.count, known.digest) = (state.count, state.digest);
        }
        if state.mark > 0 { Next::Tell } else { Next::Nothing }
    }

    /// Replaces the view, and reports the differences.
    fn take(
        &mut self,
        state: &GroupState,
        members: Option<Vec<String>>,
        seating: &Seating,
        effects: &mut Effects,
    ) {
        let Some(mut before) = self.snapshot() else { return };
        before.count = self.known.as_ref().map_or(0, |known| known.told_count);
        self.known = Some(Known::new(state, members, seating, effects.next_version()));
        effects.tell(self.snapshot().map(|now| now.changes_since(&before)).unwrap_or_default());
    }
}

impl Known {
    fn new(state: &GroupState, members: Option<Vec<String>>, seating: &Seating, version: u64) -> Self {
        let members = members.filter(|members| members.len() <= MAX_LISTED_MEMBERS);
        let members: Option<Vec<_>> =
            members.map(|members| members.iter().map(|text| seating.member(text)).collect());
        let count = members.as_ref().map_or(state.count, Vec::len);
        Self { count, told_count: count, digest: state.digest, members, version }
    }

    fn tell_joined(&mut self, member: &Member, effects: &mut Effects) {
        let Some(members) = &mut self.members else { return };
        let change = match find(members, member.user()) {
            Some(at) if members[at].text() == member.text() => return,
            Some(at) => {
                members[at] = member.clone();
                "rename"
            }
            None => {
                if members.len() == members.capacity() {
                    members.reserve_exact(members.len() / 8 + 1); // a vector would double
                }
                members.push(member.clone());
                "join"
            }
        };
        self.count = members.len();
        if members.len() > MAX_LISTED_MEMBERS {
            self.members = None;
            self.tell("state", None, effects);
        } else {
            self.tell(change, Some(member), effects);
        }
    }

    fn tell_left(&mut self, user: &str, effects: &mut Effects) {
        let Some(members) = &mut self.members else { return };
        let Some(at) = find(members, user) else { return };
        let member = members.swap_remove(at);
        self.count = members.len();
        self.tell("leave", Some(&member), effects);
    }

    /// Sends a change of one user, or the number of those that are not listed.
    fn tell(&mut self, change: &str, member: Option<&Member>, effects: &mut Effects) {
        self.version = effects.next_version();
        self.told_count = self.count;
        let snapshot = PresenceSnapshot { count: self.count, members: None, version: self.version };
        effects.tell([snapshot.event(change, member.map(Member::text))]);
    }
}

fn find(members: &[Member], user: &str) -> Option<usize> {
    members.iter().position(|member| member.user() == user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::redis::seat_id::SeatId;

    #[test]
    fn a_list_takes_at_most_20_bytes_for_a_user_of_this_node() {
        let (mut seating, mut view) = (Seating::new(SeatId::new("node0000", 0)), MemberView::default());
        let texts: Vec<_> =
            (0..MAX_LISTED_MEMBERS).map(|n| format!("user{n}/a name of some length")).collect();
        for text in &texts {
            seating.enter(&Member::new(&text.as_str().into()));
        }
        let effects = || Effects::new(Instant::now(), 0);
        view.on_look(&GroupState::default(), Some(Vec::new()), &seating, &mut effects());
        let taken = allocation_counter::measure(|| {
            for (before, text) in texts.iter().enumerate() {
                let change = Change::Users { joined: vec![text.clone()], left: Vec::new() };
                let (count, from, to) = (before + 1, before as u64, before as u64 + 1);
                view.on_event(PresenceEvent { change, count, from, to }, &seating, &mut effects());
            }
        });
        assert_eq!(view.snapshot().and_then(|known| known.members), Some(texts));
        let each = usize::try_from(taken.bytes_current).unwrap() / MAX_LISTED_MEMBERS;
        assert!(each <= 20, "{each} bytes for each");
    }
}
