//! The text of a group's member: the id of a user, then `/` and its display name.
//!
//! Users are distinguished by their ids. The name is data, which may change while the user is in
//! the group. Neither has a space.

/// Returns the id of a member's user.
pub(super) fn id(member: &str) -> &str {
    split(member).0
}

/// Returns the id and the name; the name of a text without `/` is empty.
pub(super) fn split(member: &str) -> (&str, &str) {
    member.split_once('/').unwrap_or((member, ""))
}

/// Returns the text of a member.
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
