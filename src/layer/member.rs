//! The text of a group's member: the id of a user, then `/` and its display name.
//!
//! Users are distinguished by their ids. The name is data, which may change while the user is in
//! the group. Neither has a space.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

/// A member, whose text its identity and others share. Members are one if their users are.
#[derive(Clone, Debug)]
pub(super) struct Member(Arc<str>);

impl Member {
    pub(super) fn new(text: &Arc<str>) -> Self {
        Self(Arc::clone(text))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn user(&self) -> &str {
        id(&self.0)
    }

    pub(super) fn name(&self) -> &str {
        split(&self.0).1
    }
}

impl Borrow<str> for Member {
    fn borrow(&self) -> &str {
        self.user()
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.user() == other.user()
    }
}

impl Eq for Member {}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        self.user().cmp(other.user())
    }
}

/// Returns the id of a member's user.
pub(super) fn id(member: &str) -> &str {
    split(member).0
}

/// Returns the id and the name; the name of a text without `/` is empty.
pub(super) fn split(member: &str) -> (&str, &str) {
    member.split_once('/').unwrap_or((member, ""))
}

/// Returns the text of a member.
#[cfg(test)]
pub(super) fn text(id: &str, name: &str) -> String {
    if name.is_empty() { id.to_owned() } else { [id, "/", name].concat() }
}

/// Returns where a user is in a list.
pub(super) fn find(members: &[String], user: &str) -> Option<usize> {
    members.iter().position(|member| id(member) == user)
}

/// Returns the members that are new or have another name, and those whose users are gone.
pub(super) fn differences<'a>(before: &'a [String], after: &'a [String]) -> (Vec<&'a str>, Vec<&'a str>) {
    let joined = after.iter().filter(|member| !before.contains(member)).map(String::as_str);
    let left = before.iter().filter(|member| find(after, id(member)).is_none()).map(String::as_str);
    (joined.collect(), left.collect())
}
