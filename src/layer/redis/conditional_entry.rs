//! A socket on its way into a group, which it enters unless there is a record that decides who may.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::layer::redis::membership::LocalMembership;
use crate::wire::group::Group;

/// The entry of a socket, undone on drop unless it was [completed](Self::complete).
pub(super) struct ConditionalEntry<'a> {
    pub(super) membership: &'a LocalMembership,
    pub(super) group: Group,
    pub(super) member: Arc<str>,
    /// Receives whether the socket is admitted. `None` once it has.
    pub(super) outcome: Option<oneshot::Receiver<bool>>,
}

impl ConditionalEntry<'_> {
    /// Waits until the node is subscribed and the user has a seat. Returns `false` if there is a
    /// record, or if that cannot be found out: the socket is not in the group then.
    pub(super) async fn complete(mut self) -> bool {
        let Some(outcome) = &mut self.outcome else { return false };
        let is_admitted = outcome.await.unwrap_or(false);
        self.outcome = None;
        is_admitted
    }
}

impl Drop for ConditionalEntry<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.membership.cancel_entry(&self.group, &self.member, outcome, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::layer::member::Member;
    use crate::layer::redis::absent_records::AbsentRecords;
    use crate::layer::redis::member_view::GroupState;
    use crate::layer::redis::seat_batch::{GroupCall, SeatReply, SeatStatus, Unless};
    use crate::layer::redis::seat_call::Share;
    use crate::layer::redis::shards::{ShardId, Shards};

    fn membership() -> LocalMembership {
        LocalMembership::new("node0000", Arc::new(Shards::for_test()))
    }

    fn group() -> Group {
        Group::new("den")
    }

    fn enter<'a>(membership: &'a LocalMembership, user: &str) -> Option<ConditionalEntry<'a>> {
        let reading = AbsentRecords::default().begin("record", Instant::now()).expect("nothing is known");
        let unless = Box::new(Unless { record: "record".into(), reading });
        membership.enter_unless(&group(), &user.into(), Some(unless))
    }

    /// The node subscribes to what its sockets need; returns the calls behind it, as their users.
    fn calls(membership: &LocalMembership) -> Vec<GroupCall> {
        let shard = ShardId::default();
        let changes = membership.take_channel_changes(shard, Instant::now());
        membership.on_subscribe_sent(shard, &changes.subscribe);
        membership.on_located(shard, &changes.subscribe);
        membership.take_calls(shard).into_iter().flat_map(|batch| batch.calls).collect()
    }

    fn call(membership: &LocalMembership) -> GroupCall {
        let mut calls = calls(membership);
        assert_eq!(calls.len(), 1);
        calls.remove(0)
    }

    fn users(call: &GroupCall) -> Vec<&str> {
        call.call.joins.iter().map(|joining| joining.member.user()).collect()
    }

    fn reply(membership: &LocalMembership, call: &GroupCall, status: SeatStatus) {
        let members = Some(users(call).into_iter().map(str::to_owned).collect());
        membership.on_reply(call, Some(SeatReply { status, members }), Instant::now());
    }

    fn seated(membership: &LocalMembership, call: &GroupCall) {
        let count = call.call.joins.len();
        let share = Share { users: u32::try_from(count).expect("few"), number: call.call.number };
        let state = GroupState { count, ..GroupState::default() };
        reply(membership, call, SeatStatus::Seated(state, Vec::new(), share));
    }

    #[test]
    fn without_a_record_the_call_for_the_user_admits_it() {
        let membership = membership();
        let entry = enter(&membership, "ann").expect("an entry");
        let call = call(&membership);
        assert!(call.unless.is_some());
        seated(&membership, &call);
        assert_eq!(entry.complete().now_or_never(), Some(true));
        // The group knows it from here on: nothing is asked for the next socket.
        assert_eq!(enter(&membership, "ann").expect("an entry").complete().now_or_never(), Some(true));
    }

    #[test]
    fn a_record_that_is_known_to_be_absent_is_not_asked_for() {
        let membership = membership();
        let entry = membership.enter_unless(&group(), &"ann".into(), None).expect("an entry");
        let call = call(&membership);
        assert!(call.unless.is_none());
        seated(&membership, &call);
        assert_eq!(entry.complete().now_or_never(), Some(true));
    }

    #[test]
    fn with_a_record_the_user_was_never_there() {
        let membership = membership();
        let entry = enter(&membership, "eve").expect("an entry");
        reply(&membership, &call(&membership), SeatStatus::Recorded);
        assert_eq!(entry.complete().now_or_never(), Some(false));
        let changes = membership.take_channel_changes(ShardId::default(), Instant::now());
        assert_eq!(changes.unsubscribe, [group()]);
        assert!(membership.user_counts().is_empty());
    }

    #[test]
    fn a_record_keeps_out_no_user_that_is_admitted_otherwise() {
        let membership = membership();
        membership.enter(&group(), Some(&"ann".into()));
        let entry = enter(&membership, "eve").expect("an entry");
        let first = call(&membership);
        assert_eq!(users(&first), ["ann", "eve"]);
        reply(&membership, &first, SeatStatus::Recorded);
        assert_eq!(entry.complete().now_or_never(), Some(false));
        assert!(enter(&membership, "eve").is_none(), "the record decides");
        let next = call(&membership);
        assert!(next.unless.is_none() && next.looks);
        assert_eq!(users(&next), ["ann"]);
    }

    #[test]
    fn where_redis_refuses_the_record_has_to_be_read() {
        let membership = membership();
        let entry = enter(&membership, "eve").expect("an entry");
        membership.on_refused(&[call(&membership)], Instant::now());
        assert_eq!(entry.complete().now_or_never(), Some(false));
        assert!(enter(&membership, "eve").is_none());
    }

    #[test]
    fn a_caller_that_gives_up_leaves() {
        let membership = membership();
        drop(enter(&membership, "ann").expect("an entry"));
        assert!(membership.user_counts().is_empty() || calls(&membership).is_empty());
        let entry = enter(&membership, "eve").expect("an entry");
        let call = call(&membership);
        drop(entry);
        seated(&membership, &call);
        membership.on_time(Instant::now() + Duration::from_mins(1));
        let leaving = calls(&membership).remove(0).call.leaves;
        assert_eq!(leaving.iter().map(Member::user).collect::<Vec<_>>(), ["eve"]);
    }
}
