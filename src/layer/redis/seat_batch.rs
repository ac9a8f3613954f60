//! Seat calls for several groups, which one call of `seat.lua` carries out.

use std::sync::Arc;

use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::error::LayerError;
use crate::layer::presence::MAX_SINGLE_CHANGES;
use crate::layer::redis::absent_records::Reading;
use crate::layer::redis::keys::{GROUP_LIFETIME_MILLIS, Keys};
use crate::layer::redis::member_view::GroupState;
use crate::layer::redis::resp::{self, Value};
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::seat_call::{Joining, MAX_CALL_USERS, SeatCall, Share};
use crate::wire::group::Group;

/// Groups of one call.
const MAX_BATCH_GROUPS: usize = 100;
/// Groups of one call whose members are returned.
const MAX_BATCH_LOOKS: usize = 10;
/// Bytes of the state before the seat ids.
const STATE_BYTES: usize = 16;

/// A call for one group, and what else is asked.
pub(super) struct GroupCall {
    pub(super) group: Group,
    pub(super) call: SeatCall,
    /// The members are returned.
    pub(super) looks: bool,
    /// The lifetime of what Redis has is renewed.
    pub(super) renews: bool,
    /// Nothing is done if there is such a record.
    pub(super) unless: Option<Box<Unless>>,
}

/// A record that keeps users out of a group.
#[derive(Clone)]
pub(super) struct Unless {
    /// Its key, as the store has it.
    pub(super) record: Arc<str>,
    /// When its absence was asked for.
    pub(super) reading: Reading,
}

/// Calls for different groups.
pub(super) struct SeatBatch {
    pub(super) calls: Vec<GroupCall>,
    users: usize,
    looks: usize,
}

/// The reply for one group.
pub(super) struct SeatReply {
    pub(super) status: SeatStatus,
    /// The members, if they were asked for and are not too many.
    pub(super) members: Option<Vec<String>>,
}

pub(super) enum SeatStatus {
    /// It was carried out: what the group has now, the ids that have users, and the share.
    Seated(GroupState, Vec<u8>, Share),
    /// Nothing was written: Redis has another share.
    Differs(Share),
    /// Nothing was written: the key holds a value of another type.
    Refused,
    /// Nothing was written: there is a record that keeps users out.
    Recorded,
}

impl GroupCall {
    /// Returns how many users it is about.
    fn users(&self) -> usize {
        self.call.joins.len() + self.call.leaves.len()
    }
}

impl SeatBatch {
    pub(super) fn new(call: GroupCall) -> Self {
        Self { users: call.users(), looks: usize::from(call.looks), calls: vec![call] }
    }

    /// Adds a call, or returns it when the batch is full.
    pub(super) fn push(&mut self, call: GroupCall) -> Result<(), GroupCall> {
        let (users, looks) = (call.users(), usize::from(call.looks));
        let is_full = self.calls.len() == MAX_BATCH_GROUPS
            || self.users + users > MAX_CALL_USERS
            || self.looks + looks > MAX_BATCH_LOOKS;
        if is_full {
            return Err(call);
        }
        self.users += users;
        self.looks += looks;
        self.calls.push(call);
        Ok(())
    }

    /// Pairs each call with its reply; a call without one has none.
    pub(super) fn replies<'a>(
        &'a self,
        reply: &'a Value<'a>,
    ) -> impl Iterator<Item = (&'a GroupCall, Option<SeatReply>)> {
        let mut values = match reply {
            Value::List(values) => values.as_slice(),
            _ => &[],
        };
        self.calls.iter().map(move |call| {
            let (own, rest) = values.split_at_checked(3 + usize::from(call.looks)).unwrap_or_default();
            values = rest;
            (call, SeatReply::parse(own))
        })
    }
}

impl SeatReply {
    fn parse(values: &[Value<'_>]) -> Option<Self> {
        let (status, state, share) =
            (values.first()?.text()?, bytes(values.get(1)?)?, bytes(values.get(2)?)?);
        let status = match status {
            "ok" => SeatStatus::Seated(group_state(state)?, seat_ids(state).to_vec(), parse_share(share)?),
            "differs" => SeatStatus::Differs(parse_share(share)?),
            "recorded" => SeatStatus::Recorded,
            "error" => {
                let _ = LayerError::refused(String::from_utf8_lossy(state)); // counts and logs it
                SeatStatus::Refused
            }
            _ => return None,
        };
        let members = match values.get(3) {
            Some(Value::List(members)) => {
                Some(members.iter().filter_map(|member| member.text().map(str::to_owned)).collect())
            }
            _ => None,
        };
        Some(Self { status, members })
    }
}

fn bytes<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Text(bytes) => Some(bytes),
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Parses the field ` m` of a group's users; without it there are none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number below 2^48")]
pub(super) fn group_state(bytes: &[u8]) -> Option<GroupState> {
    if bytes.is_empty() {
        return Some(GroupState::default());
    }
    let digest = f64::from_le_bytes(bytes.get(8..STATE_BYTES)?.try_into().ok()?) as u64;
    Some(GroupState { count: number(bytes, 0)? as usize, mark: number(bytes, 4)?, digest })
}

/// Returns the ids behind the state in the field ` m`.
pub(super) fn seat_ids(bytes: &[u8]) -> &[u8] {
    bytes.get(STATE_BYTES..).unwrap_or_default()
}

/// Parses a share; an absent field is that of no users.
pub(super) fn parse_share(bytes: &[u8]) -> Option<Share> {
    if bytes.is_empty() {
        return Some(Share::default());
    }
    Some(Share { users: number(bytes, 0)?, number: number(bytes, 4)? })
}

fn share_bytes(share: Share) -> Vec<u8> {
    if share.users == 0 {
        return Vec::new();
    }
    [share.users.to_le_bytes(), share.number.to_le_bytes()].concat()
}

/// Encodes batches as calls of `seat.lua`.
pub(super) struct SeatEncoder {
    node: String,
    scripts: Arc<Scripts>,
    keys: Keys,
}

impl SeatEncoder {
    pub(super) fn new(node: &str, scripts: Arc<Scripts>, keys: Keys) -> Self {
        Self { node: node.to_owned(), scripts, keys }
    }

    /// Writes the commands that put the node into a group's set, or remove it from there; returns
    /// how many they are.
    pub(super) fn encode_node(&self, group: &Group, is_there: bool, out: &mut Vec<u8>) -> usize {
        let set = self.keys.nodes_of_group(group);
        if !is_there {
            resp::command(out, &[b"SREM", set.as_bytes(), self.node.as_bytes()]);
            return 1;
        }
        resp::command(out, &[b"SADD", set.as_bytes(), self.node.as_bytes()]);
        resp::command(out, &[b"PEXPIRE", set.as_bytes(), GROUP_LIFETIME_MILLIS.to_string().as_bytes()]);
        2
    }

    /// Writes the command that carries a batch out.
    pub(super) fn encode(&self, batch: &SeatBatch, out: &mut Vec<u8>) {
        let arguments = |call: &GroupCall| 7 + 2 * call.call.joins.len() + call.call.leaves.len();
        let groups = batch.calls.len();
        let records = || batch.calls.iter().filter_map(|call| call.unless.as_deref());
        let keys = groups + records().count();
        resp::begin(out, 3 + keys + 3 + batch.calls.iter().map(arguments).sum::<usize>());
        resp::argument(out, b"EVALSHA");
        resp::argument(out, self.scripts.seat.hash().as_bytes());
        resp::argument(out, keys.to_string().as_bytes());
        for call in &batch.calls {
            resp::argument(out, self.keys.members(&call.group).as_bytes());
        }
        for Unless { record, .. } in records() {
            resp::argument(out, self.keys.record(record).as_bytes());
        }
        for number in [MAX_LISTED_MEMBERS, MAX_SINGLE_CHANGES, groups] {
            resp::argument(out, number.to_string().as_bytes());
        }
        for GroupCall { group, call, looks, renews, unless } in &batch.calls {
            resp::argument(out, self.keys.own_channel(group).as_bytes());
            resp::argument(out, call.id.as_bytes());
            let flags = [(*looks, "l"), (call.is_quiet, "q"), (*renews, "t"), (unless.is_some(), "u")];
            let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
            resp::argument(out, flags.as_bytes());
            resp::argument(out, &share_bytes(call.share));
            resp::argument(out, &call.number.to_le_bytes());
            resp::argument(out, call.joins.len().to_string().as_bytes());
            resp::argument(out, call.leaves.len().to_string().as_bytes());
            for Joining { member, is_away } in &call.joins {
                resp::argument(out, member.user().as_bytes());
                if *is_away {
                    resp::argument(out, &[b" ", member.name().as_bytes()].concat());
                } else {
                    resp::argument(out, member.name().as_bytes());
                }
            }
            for member in &call.leaves {
                resp::argument(out, member.user().as_bytes());
            }
        }
    }
}
