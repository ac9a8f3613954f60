//! What this node has of one group: its sockets, its users, and its view of all users.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::member;
use crate::layer::redis::job::Job;
use crate::layer::redis::member_view::MemberView;
use crate::layer::redis::seat_id::SeatId;
use crate::layer::redis::seating::Seating;
use crate::wire::group::Group;

/// Time after which a node publishes a group's pending state, unless another one did.
const TELL_PAUSE: Duration = Duration::from_millis(930);
/// The longest such time: large groups are reported less often.
const MAX_TELL_PAUSE: Duration = Duration::from_secs(10);

/// A group of this node.
pub(super) struct LocalGroup {
    /// Sockets here, with those that are no members.
    pub(super) sockets: usize,
    pub(super) seating: Seating,
    pub(super) view: MemberView,
    pub(super) link: Link,
    pub(super) next_call: NextCall,
    /// Redis refused the last call.
    pub(super) is_refused: bool,
    /// Ids in use, as of the last reply.
    pub(super) seats: Box<[u8]>,
    /// When this node publishes the pending state, and up to which mark.
    pub(super) tell: Option<(Instant, u32)>,
    pub(super) waiting: Vec<Waiting>,
}

/// What the next call of a group asks, beside what its users need.
#[derive(Default)]
pub(super) struct NextCall {
    pub(super) looks: bool,
    /// The lifetime of what Redis has is renewed.
    pub(super) renews: bool,
    /// Other nodes are asked whether they have members under the ids that the look shows.
    pub(super) asks: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Link {
    None,
    /// `SUBSCRIBE` was written: calls may follow it.
    Requested,
    /// The node is subscribed, and knows the end of the log.
    Located,
}

/// A socket that waits until its user has a seat, and the node is subscribed to the group.
pub(super) struct Waiting {
    pub(super) user: Option<Arc<str>>,
    pub(super) done: oneshot::Sender<()>,
}

impl LocalGroup {
    pub(super) fn new(id: SeatId) -> Self {
        Self {
            sockets: 0,
            seating: Seating::new(id),
            view: MemberView::default(),
            link: Link::None,
            next_call: NextCall { looks: true, ..NextCall::default() },
            is_refused: false,
            seats: Box::default(),
            tell: None,
            waiting: Vec::new(),
        }
    }

    /// Returns the list with the members that have sockets here, and whether it lacked some: what
    /// Redis lost is no reason to report that they left.
    pub(super) fn with_own(&self, members: Option<Vec<String>>) -> (Option<Vec<String>>, bool) {
        let Some(mut members) = members else { return (None, false) };
        let mut is_short = false;
        for own in self.seating.seated() {
            if member::find(&members, member::id(&own)).is_none() {
                members.push(own);
                is_short = true;
            }
        }
        (Some(members), is_short)
    }

    /// Redis has these members.
    pub(super) fn on_names(&mut self, members: &[String]) {
        for text in members {
            let (user, name) = member::split(text);
            self.seating.on_name(user, name);
        }
    }

    pub(super) fn see(&self, group: &Group) -> Job {
        Job::See(group.clone(), SeatId::parse_all(&self.seats).collect())
    }

    pub(super) fn is_over(&self) -> bool {
        self.sockets == 0 && self.seating.is_over()
    }

    pub(super) fn is_ready_for(&self, user: Option<&str>) -> bool {
        self.link == Link::Located
            && (self.is_refused
                || self.view.is_known() && user.is_none_or(|user| self.seating.is_seated(user)))
    }

    /// Completes those that wait for nothing more.
    pub(super) fn wake(&mut self) {
        for waiting in take(&mut self.waiting) {
            if self.is_ready_for(waiting.user.as_deref()) {
                let _ = waiting.done.send(()); // the caller may have given up
            } else {
                self.waiting.push(waiting);
            }
        }
    }
}

/// Returns the time between two reports of a group of this many users.
pub(super) fn tell_pause(count: usize) -> Duration {
    if count <= MAX_LISTED_MEMBERS {
        return TELL_PAUSE;
    }
    Duration::from_millis(count as u64).clamp(TELL_PAUSE, MAX_TELL_PAUSE)
}
