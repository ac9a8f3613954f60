//! The roster: which members this node has in which group, and what of it Redis does not know yet.
//!
//! Sockets only change the roster, which never waits. Two tasks bring Redis in line with it: the
//! subscriber (which channels does this node hear) and the lease (which members does it have). So
//! changes that come while Redis is busy or away are merged, and no two tasks can write in the wrong
//! order.

use std::collections::{HashMap, HashSet};
use std::mem::take;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::wire::group::Group;

/// More changes than this are not remembered one by one: everything is written again.
const MOST_CHANGES: usize = 65_536;

#[derive(Default)]
pub(super) struct LocalMembership {
    state: Mutex<State>,
    /// A group may have to be subscribed or unsubscribed.
    pub(super) channels_changed: Notify,
    /// A member came or left.
    pub(super) members_changed: Notify,
}

#[derive(Default)]
struct State {
    groups: HashMap<Group, Local>,
    /// Groups whose subscription may differ from what their members want.
    unsettled: HashSet<Group>,
    /// Changes of users that Redis does not know yet; `true` came, `false` left.
    changes: Vec<(Group, Arc<str>, bool)>,
    /// Redis knows nothing, or we cannot tell what it knows.
    unknown: bool,
}

#[derive(Default)]
struct Local {
    /// How many members each user is.
    members: HashMap<Arc<str>, usize>,
    heard: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Channels to subscribe to and to leave.
#[derive(Default)]
pub(super) struct Channels {
    pub(super) join: Vec<Group>,
    pub(super) part: Vec<Group>,
    /// Groups that were left before they were heard.
    pub(super) gone: Vec<Group>,
}

/// One group's part of what Redis does not know yet.
#[derive(Default)]
pub(super) struct Change {
    pub(super) came: HashSet<Arc<str>>,
    pub(super) left: HashSet<Arc<str>>,
    /// The node has members in the group now.
    pub(super) present: bool,
}

/// What Redis does not know yet.
pub(super) enum Changes {
    /// These groups changed.
    Some(HashMap<Group, Change>),
    /// Nothing there can be trusted; this is everything.
    All(HashMap<Group, Change>),
}

impl LocalMembership {
    pub(super) fn enter(&self, group: &Group, user: &Arc<str>) {
        let mut state = self.state.lock();
        let local = state.groups.entry(group.clone()).or_default();
        let members = local.members.entry(Arc::clone(user)).or_default();
        *members += 1;
        let came = *members == 1;
        if !local.heard {
            state.unsettled.insert(group.clone());
            self.channels_changed.notify_one();
        }
        if came {
            state.remember(group, user, true);
            self.members_changed.notify_one();
        }
    }

    pub(super) fn leave(&self, group: &Group, user: &Arc<str>) {
        let mut state = self.state.lock();
        let Some(local) = state.groups.get_mut(group) else { return };
        let Some(members) = local.members.get_mut(user) else { return };
        *members -= 1;
        if *members > 0 {
            return;
        }
        local.members.remove(user);
        if local.members.is_empty() {
            state.unsettled.insert(group.clone());
            self.channels_changed.notify_one();
        }
        state.remember(group, user, false);
        self.members_changed.notify_one();
    }

    /// `None` if the group is heard already, else what to wait for.
    pub(super) fn wait_for(&self, group: &Group) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        let local = state.groups.get_mut(group)?;
        if local.heard {
            return None;
        }
        let (heard, wait) = oneshot::channel();
        local.waiting.push(heard);
        Some(wait)
    }

    /// What the subscriber has to do. A channel that it shall leave does not count as heard from
    /// here on: who enters meanwhile waits for the next subscription.
    pub(super) fn channels(&self) -> Channels {
        let mut state = self.state.lock();
        let mut channels = Channels::default();
        for group in take(&mut state.unsettled) {
            let Some(local) = state.groups.get_mut(&group) else { continue };
            match (local.members.is_empty(), local.heard) {
                (false, false) => channels.join.push(group),
                (true, true) => {
                    state.groups.remove(&group);
                    channels.part.push(group);
                }
                (true, false) => {
                    state.groups.remove(&group);
                    channels.gone.push(group);
                }
                (false, true) => {}
            }
        }
        channels
    }

    /// Redis confirmed these subscriptions.
    pub(super) fn heard(&self, groups: &[Group]) {
        let mut state = self.state.lock();
        for group in groups {
            // Members that left meanwhile have made the group unsettled again; its entry is still there.
            let Some(local) = state.groups.get_mut(group) else { continue };
            local.heard = true;
            for waiting in take(&mut local.waiting) {
                let _ = waiting.send(()); // it may have given up
            }
        }
    }

    /// The subscribing connection is gone: nothing is heard.
    pub(super) fn deaf(&self) {
        let mut state = self.state.lock();
        let State { groups, unsettled, .. } = &mut *state;
        for (group, local) in groups {
            local.heard = false;
            unsettled.insert(group.clone());
        }
        self.channels_changed.notify_one();
    }

    /// Redis forgot our members, or we cannot tell.
    pub(super) fn forgotten(&self) {
        self.state.lock().unknown = true;
        self.members_changed.notify_one();
    }

    /// Takes what Redis does not know yet.
    pub(super) fn changes(&self) -> Changes {
        let mut state = self.state.lock();
        let mut changed: HashMap<Group, Change> = HashMap::new();
        let one_by_one = take(&mut state.changes);
        if take(&mut state.unknown) {
            for (group, local) in state.groups.iter().filter(|(_, local)| !local.members.is_empty()) {
                let change = Change {
                    came: local.members.keys().cloned().collect(),
                    present: true,
                    ..Change::default()
                };
                changed.insert(group.clone(), change);
            }
            return Changes::All(changed);
        }
        for (group, user, came) in one_by_one {
            let present = state.groups.get(&group).is_some_and(|local| !local.members.is_empty());
            let change = changed.entry(group).or_default();
            change.present = present;
            let (to, from) = if came {
                (&mut change.came, &mut change.left)
            } else {
                (&mut change.left, &mut change.came)
            };
            from.remove(&user);
            to.insert(user);
        }
        Changes::Some(changed)
    }
}

impl State {
    fn remember(&mut self, group: &Group, user: &Arc<str>, came: bool) {
        if self.changes.len() == MOST_CHANGES {
            self.unknown = true;
        }
        if self.unknown {
            self.changes = Vec::new();
        } else {
            self.changes.push((group.clone(), Arc::clone(user), came));
        }
    }
}
