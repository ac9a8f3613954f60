//! The members of a room in frames: ids and display names.

use std::collections::BTreeMap;

/// Display names by user id.
pub(crate) type Names<'a> = BTreeMap<&'a str, &'a str>;

/// Parsed members of a group.
pub(crate) struct ListedMembers<'a> {
    pub(crate) ids: Vec<&'a str>,
    pub(crate) names: Names<'a>,
}

impl<'a> ListedMembers<'a> {
    /// Parses members. A user that reconnects under another name may occur twice for a moment.
    pub(crate) fn parse(members: impl Iterator<Item = &'a str>) -> Self {
        let names: Names<'a> = members.map(split_member).collect();
        Self { ids: names.keys().copied().collect(), names }
    }
}

/// Splits a member into its id and name, as joined by
/// [`Identity::member`](parlor::Identity::member).
pub(crate) fn split_member(member: &str) -> (&str, &str) {
    member.split_once('/').unwrap_or((member, member))
}
