//! Which members this node has in which group, and what of it Redis does not know yet.
//!
//! Sockets only change the membership, which never waits. Two tasks bring Redis in line with it:
//! the subscriber (the channels of this node) and the heartbeat (its members). Changes while Redis
//! is busy or unreachable are merged, and no two tasks can write in the wrong order.

use std::collections::{HashMap, HashSet};
use std::mem::take;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::wire::group::Group;

/// Changes that are remembered one by one; after more of them everything is written again.
const MAX_REMEMBERED_CHANGES: usize = 65_536;

#[derive(Default)]
pub(super) struct LocalMembership {
    state: Mutex<MembershipState>,
    /// A group may have to be subscribed to or unsubscribed from.
    pub(super) channels_changed: Notify,
    /// A member joined or left.
    pub(super) members_changed: Notify,
}

#[derive(Default)]
struct MembershipState {
    groups: HashMap<Group, LocalGroup>,
    /// Groups whose subscription may differ from what their members need.
    unsettled: HashSet<Group>,
    /// Changes that Redis does not know yet; `true` is a join.
    changes: Vec<(Group, Arc<str>, bool)>,
    /// Redis knows nothing of this node, or it is not known what it knows.
    is_unknown: bool,
}

#[derive(Default)]
struct LocalGroup {
    /// Number of members that are each user.
    members: HashMap<Arc<str>, usize>,
    is_subscribed: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

/// The channels that the subscriber has to change.
#[derive(Default)]
pub(super) struct ChannelChanges {
    pub(super) subscribe: Vec<Group>,
    pub(super) unsubscribe: Vec<Group>,
    /// Groups that were left before they were subscribed to.
    pub(super) abandoned: Vec<Group>,
}

/// What Redis does not know yet of one group.
#[derive(Default)]
pub(super) struct GroupChange {
    pub(super) joined: HashSet<Arc<str>>,
    pub(super) left: HashSet<Arc<str>>,
    /// Whether the node has members in the group now.
    pub(super) has_members: bool,
}

/// What Redis does not know yet.
pub(super) enum MembershipChanges {
    /// These groups changed.
    Some(HashMap<Group, GroupChange>),
    /// What Redis has may be wrong: this is the whole state.
    All(HashMap<Group, GroupChange>),
}

impl LocalMembership {
    pub(super) fn enter(&self, group: &Group, user: &Arc<str>) {
        let mut state = self.state.lock();
        let local = state.groups.entry(group.clone()).or_default();
        let members = local.members.entry(Arc::clone(user)).or_default();
        *members += 1;
        let has_joined = *members == 1;
        if !local.is_subscribed {
            state.unsettled.insert(group.clone());
            self.channels_changed.notify_one();
        }
        if has_joined {
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

    /// Returns `None` if the node is subscribed to the group, else what completes when it is.
    pub(super) fn subscription(&self, group: &Group) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        let local = state.groups.get_mut(group)?;
        if local.is_subscribed {
            return None;
        }
        let (subscribed, wait) = oneshot::channel();
        local.waiting.push(subscribed);
        Some(wait)
    }

    /// Takes what the subscriber has to do. From here on a channel that it leaves does not count as
    /// subscribed: a member that joins meanwhile waits for the next subscription.
    pub(super) fn take_channel_changes(&self) -> ChannelChanges {
        let mut state = self.state.lock();
        let mut changes = ChannelChanges::default();
        for group in take(&mut state.unsettled) {
            let Some(local) = state.groups.get_mut(&group) else { continue };
            match (local.members.is_empty(), local.is_subscribed) {
                (false, false) => changes.subscribe.push(group),
                (true, true) => {
                    state.groups.remove(&group);
                    changes.unsubscribe.push(group);
                }
                (true, false) => {
                    state.groups.remove(&group);
                    changes.abandoned.push(group);
                }
                (false, true) => {}
            }
        }
        changes
    }

    /// Redis confirmed these subscriptions.
    pub(super) fn on_subscribed(&self, groups: &[Group]) {
        let mut state = self.state.lock();
        for group in groups {
            // Members that left meanwhile have made the group unsettled again; its entry is still
            // there.
            let Some(local) = state.groups.get_mut(group) else { continue };
            local.is_subscribed = true;
            for waiting in take(&mut local.waiting) {
                let _ = waiting.send(()); // the caller may have given up
            }
        }
    }

    /// The connection with the subscriptions was lost.
    pub(super) fn on_disconnected(&self) {
        let mut state = self.state.lock();
        let MembershipState { groups, unsettled, .. } = &mut *state;
        for (group, local) in groups {
            local.is_subscribed = false;
            unsettled.insert(group.clone());
        }
        self.channels_changed.notify_one();
    }

    /// Makes the heartbeat write the whole state: Redis lost it, or may have.
    pub(super) fn mark_unknown(&self) {
        self.state.lock().is_unknown = true;
        self.members_changed.notify_one();
    }

    /// Takes what Redis does not know yet.
    pub(super) fn take_changes(&self) -> MembershipChanges {
        let mut state = self.state.lock();
        let mut changed: HashMap<Group, GroupChange> = HashMap::new();
        let one_by_one = take(&mut state.changes);
        if take(&mut state.is_unknown) {
            for (group, local) in state.groups.iter().filter(|(_, local)| !local.members.is_empty()) {
                let change = GroupChange {
                    joined: local.members.keys().cloned().collect(),
                    has_members: true,
                    ..GroupChange::default()
                };
                changed.insert(group.clone(), change);
            }
            return MembershipChanges::All(changed);
        }
        for (group, user, has_joined) in one_by_one {
            let has_members = state.groups.get(&group).is_some_and(|local| !local.members.is_empty());
            let change = changed.entry(group).or_default();
            change.has_members = has_members;
            let (to, from) = if has_joined {
                (&mut change.joined, &mut change.left)
            } else {
                (&mut change.left, &mut change.joined)
            };
            from.remove(&user);
            to.insert(user);
        }
        MembershipChanges::Some(changed)
    }
}

impl MembershipState {
    fn remember(&mut self, group: &Group, user: &Arc<str>, has_joined: bool) {
        if self.changes.len() == MAX_REMEMBERED_CHANGES {
            self.is_unknown = true;
        }
        if self.is_unknown {
            self.changes = Vec::new();
        } else {
            self.changes.push((group.clone(), Arc::clone(user), has_joined));
        }
    }
}
