//! A node of the model: a membership, its connections, and what its sockets were sent.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::layer::member;
use crate::layer::redis::beat_watch::BeatWatch;
use crate::layer::redis::job::Job;
use crate::layer::redis::member_view::PresenceEvent;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::seat_batch::{GroupCall, SeatReply};
use crate::layer::redis::seat_id::SeatId;
use crate::layer::redis::shards::{ShardId, Shards};
use crate::wire::event::Event;
use crate::wire::group::Group;

/// Time between two comparisons.
pub(super) const COMPARISON: Duration = Duration::from_secs(26);

/// What is on its way to a node on its subscribing connection.
pub(super) enum Inbound {
    Event(String, PresenceEvent),
    Reply(GroupCall, SeatReply),
    Subscribed(Vec<Group>),
    /// Another node asks about ids.
    Asked(Vec<(String, String)>),
}

/// What is on its way to Redis on that connection.
pub(super) enum Outbound {
    Subscribe(Vec<Group>),
    Unsubscribe(Vec<Group>),
    Seats(GroupCall),
}

/// What a socket of a node knows.
pub(super) type Told = Option<BTreeMap<String, String>>;

pub(super) struct SimSocket {
    pub(super) group: Group,
    /// The member; `None` for a socket that only receives.
    pub(super) member: Option<Arc<str>>,
    /// Redis has the user, as a reply said.
    pub(super) is_seated: bool,
}

impl SimSocket {
    pub(super) fn user(&self) -> Option<&str> {
        self.member.as_deref().map(member::id)
    }
}

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
    pub(super) sockets: Vec<SimSocket>,
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
            membership: LocalMembership::new(&name, Arc::new(Shards::for_test())),
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

    pub(super) fn open(&mut self, group: &Group, member: Option<Arc<str>>) {
        self.membership.enter(group, member.as_ref());
        self.sockets.push(SimSocket { group: group.clone(), member, is_seated: false });
    }

    /// Redis carried a call out.
    pub(super) fn seat(&mut self, call: &GroupCall) {
        for socket in self.sockets.iter_mut().filter(|socket| socket.group == call.group) {
            let user = socket.user();
            let is_joining = call.call.joins.iter().any(|joining| Some(joining.member.user()) == user);
            socket.is_seated |= is_joining;
        }
    }

    pub(super) fn is_in(&self, group: &Group) -> bool {
        self.sockets.iter().any(|socket| socket.group == *group)
    }

    pub(super) fn sockets_of(&self, group: &str, user: &str) -> impl Iterator<Item = &SimSocket> {
        self.sockets.iter().filter(move |of| of.group.name() == group && of.user() == Some(user))
    }

    fn has_socket(&self, group: &str, user: &str) -> bool {
        self.sockets_of(group, user).next().is_some()
    }

    /// The subscribing connection is lost, with all that is on its way to the node.
    pub(super) fn cut(&mut self, reconnects_at: Instant) {
        self.is_connected = false;
        self.reconnects_at = reconnects_at;
        self.from_redis.clear();
        self.subscriptions.clear();
        self.membership.on_disconnected(ShardId::default());
    }

    /// Compares what sockets are sent with what they know.
    pub(super) fn tell(&mut self, group: &str, events: &[Event]) {
        for event in events {
            let Some((mut members, _)) = self.told.remove(group) else { continue };
            let change = event.text("change").expect("a change");
            let count = event.text("count").expect("a count").parse().expect("a number");
            if change == "state" {
                let before = members.unwrap_or_default();
                members = event
                    .text("members")
                    .map(|texts| texts.split(' ').filter(|text| !text.is_empty()).map(split).collect());
                if let Some(members) = &members {
                    let mut gone = before.keys().filter(|user| !members.contains_key(*user));
                    let wrong = gone.find(|user| self.has_socket(group, user));
                    assert_eq!(wrong, None, "a user of {} that a state of {group} lacks", self.name);
                }
                self.told.insert(group.to_owned(), (members, count));
                continue;
            }
            let (user, name) = split(event.text("user").expect("a user"));
            let mut members = members.expect("changes are of lists only");
            match change {
                "join" => {
                    assert!(members.insert(user.clone(), name).is_none(), "{user} joined {group} twice");
                }
                "leave" => {
                    assert!(members.remove(&user).is_some(), "{user} left {group} without being there");
                    assert!(!self.has_socket(group, &user), "{user} of {} left {group}", self.name);
                }
                "rename" => {
                    let known = members.insert(user.clone(), name.clone());
                    assert!(known.is_some_and(|known| known != name), "{user} was renamed for nothing");
                }
                other => panic!("{other}"),
            }
            assert_eq!(members.len(), count, "the count of {group}");
            self.told.insert(group.to_owned(), (Some(members), count));
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
        let joined: BTreeSet<Group> = self.sockets.iter().map(|socket| socket.group.clone()).collect();
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
