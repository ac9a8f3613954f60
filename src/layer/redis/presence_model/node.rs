//! A node of the model: a membership, its connections, and what its sockets were sent.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::layer::member;
use crate::layer::redis::beat_watch::BeatWatch;
use crate::layer::redis::command_queue::CommandQueue;
use crate::layer::redis::job::Job;
use crate::layer::redis::member_view::PresenceEvent;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::seat_batch::{GroupCall, SeatReply};
use crate::layer::redis::seat_id::SeatId;
use crate::wire::event::Event;
use crate::wire::group::Group;

/// Time between two comparisons.
pub(super) const COMPARISON: Duration = Duration::from_secs(26);

/// What is on its way to a node on its subscribing connection.
pub(super) enum Inbound {
    Event(String, PresenceEvent),
    Reply(GroupCall, SeatReply),
    Subscribed(Vec<Group>),
}

/// What is on its way to Redis on that connection.
pub(super) enum Outbound {
    Subscribe(Vec<Group>),
    Unsubscribe(Vec<Group>),
    Seats(GroupCall),
}

/// What a socket of a node knows.
pub(super) type Told = Option<BTreeMap<String, String>>;

pub(super) struct SimNode {
    pub(super) name: String,
    pub(super) membership: LocalMembership,
    pub(super) watch: BeatWatch,
    pub(super) is_connected: bool,
    pub(super) reconnects_at: Instant,
    pub(super) frozen_until: Instant,
    pub(super) to_redis: VecDeque<Outbound>,
    pub(super) from_redis: VecDeque<Inbound>,
    pub(super) subscriptions: HashSet<String>,
    /// Each socket: group and member.
    pub(super) sockets: Vec<(Group, Arc<str>)>,
    pub(super) told: HashMap<String, (Told, usize)>,
    pub(super) jobs: VecDeque<Job>,
    pub(super) suspects: BTreeSet<Group>,
    /// Ids of dead nodes that were seen, and are reaped after another reading.
    pub(super) found: Vec<(Group, SeatId)>,
    pub(super) beats: u64,
    pub(super) written: Option<String>,
    pub(super) beats_at: Instant,
    pub(super) compares_at: Instant,
}

impl SimNode {
    pub(super) fn new(number: usize, now: Instant) -> Self {
        let name = format!("node{number:04}");
        Self {
            membership: LocalMembership::new(&name, Arc::new(CommandQueue::default())),
            name,
            watch: BeatWatch::default(),
            is_connected: false,
            reconnects_at: now,
            frozen_until: now,
            to_redis: VecDeque::new(),
            from_redis: VecDeque::new(),
            subscriptions: HashSet::new(),
            sockets: Vec::new(),
            told: HashMap::new(),
            jobs: VecDeque::new(),
            suspects: BTreeSet::new(),
            found: Vec::new(),
            beats: 0,
            written: None,
            beats_at: now,
            compares_at: now + COMPARISON,
        }
    }

    /// The subscribing connection is lost, with all that is on its way to the node.
    pub(super) fn cut(&mut self, reconnects_at: Instant) {
        self.is_connected = false;
        self.reconnects_at = reconnects_at;
        self.from_redis.clear();
        self.subscriptions.clear();
        self.membership.on_disconnected();
    }

    /// Compares what sockets are sent with what they know.
    pub(super) fn tell(&mut self, group: &str, events: &[Event]) {
        for event in events {
            let Some((members, count)) = self.told.get_mut(group) else { continue };
            let change = event.text("change").expect("a change");
            *count = event.text("count").expect("a count").parse().expect("a number");
            if change == "state" {
                *members = event
                    .text("members")
                    .map(|texts| texts.split(' ').filter(|text| !text.is_empty()).map(split).collect());
                continue;
            }
            let (user, name) = split(event.text("user").expect("a user"));
            let members = members.as_mut().expect("changes are of lists only");
            match change {
                "join" => {
                    assert!(members.insert(user.clone(), name).is_none(), "{user} joined {group} twice");
                }
                "leave" => {
                    assert!(members.remove(&user).is_some(), "{user} left {group} without being there");
                }
                "rename" => {
                    let known = members.insert(user.clone(), name.clone());
                    assert!(known.is_some_and(|known| known != name), "{user} was renamed for nothing");
                }
                other => panic!("{other}"),
            }
            assert_eq!(members.len(), *count, "the count of {group}");
        }
        self.check_told(group);
    }

    /// Sockets know what the node says to newcomers.
    pub(super) fn check_told(&self, group: &str) {
        let Some((members, count)) = self.told.get(group).filter(|(members, _)| members.is_some()) else {
            return; // the count of a large group is sent later
        };
        let Some(snapshot) = self.membership.snapshot(&Group::new(group)) else { return };
        let listed: Told = snapshot.members.map(|members| members.iter().map(|text| split(text)).collect());
        assert_eq!(
            (members, count),
            (&listed, &snapshot.count),
            "what sockets of {group} know at {}",
            self.name
        );
    }

    /// Sockets of groups whose members are known are welcomed.
    pub(super) fn welcome(&mut self) {
        let joined: BTreeSet<Group> = self.sockets.iter().map(|(group, _)| group.clone()).collect();
        self.told.retain(|group, _| joined.iter().any(|joined| joined.name() == group));
        for group in joined {
            if let Some(snapshot) = self.membership.snapshot(&group)
                && !self.told.contains_key(group.name())
            {
                let listed = snapshot.members.map(|members| members.iter().map(|text| split(text)).collect());
                self.told.insert(group.name().to_owned(), (listed, snapshot.count));
            }
        }
    }
}

pub(super) fn split(text: &str) -> (String, String) {
    let (user, name) = member::split(text);
    (user.to_owned(), name.to_owned())
}
