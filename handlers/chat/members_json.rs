//! Members of a room as frames list them: ids, and what their users are called.

use std::collections::BTreeMap;

/// What users are called, by their ids.
pub(crate) type Names<'a> = BTreeMap<&'a str, &'a str>;

/// Members of a group, taken apart.
pub(crate) struct Listed<'a> {
    pub(crate) ids: Vec<&'a str>,
    pub(crate) names: Names<'a>,
}

impl<'a> Listed<'a> {
    /// Who comes back under another name may stand there twice for a moment.
    pub(crate) fn of(members: impl Iterator<Item = &'a str>) -> Self {
        let names: Names<'a> = members.map(person).collect();
        Self { ids: names.keys().copied().collect(), names }
    }
}

/// The id and the name of a member, as [`Identity::member`](parlor::Identity::member) puts them together.
pub(crate) fn person(member: &str) -> (&str, &str) {
    member.split_once('/').unwrap_or((member, member))
}
