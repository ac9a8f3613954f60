//! Steps: several checks and changes of the store that happen together or not at all.

use crate::wire::group::Group;

/// A condition of a step.
#[derive(Clone, Copy, Debug)]
pub enum Guard<'a> {
    /// The change of rights with this id is announced, and has not ended.
    Announced {
        /// The id.
        change: &'a str,
    },
    /// The record has this value; `None`: there is no record.
    Record {
        /// The key of the record.
        key: &'a str,
        /// The value.
        value: Option<&'a str>,
    },
    /// The name is in the index, with a rank above this one.
    RankAbove {
        /// The index.
        index: &'a str,
        /// The name.
        name: &'a str,
        /// The rank.
        rank: u64,
    },
    /// The name is in the index, or the index has fewer names than this.
    Fits {
        /// The index.
        index: &'a str,
        /// The name.
        name: &'a str,
        /// The most names of the index.
        limit: usize,
    },
    /// The group has no members.
    NoMembers {
        /// The group.
        group: &'a Group,
    },
    /// The log of the group has no events.
    NoEvents {
        /// The group.
        group: &'a Group,
    },
}

/// A change that a step makes.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Writes a record. Its lifetime does not change; a new one has none.
    Put {
        /// The key of the record.
        key: &'a str,
        /// The value.
        value: &'a str,
    },
    /// Deletes a record.
    Delete {
        /// The key of the record.
        key: &'a str,
    },
    /// Adds a name to an index. A name that is there keeps its rank.
    Add {
        /// The index.
        index: &'a str,
        /// The name.
        name: &'a str,
        /// The rank.
        rank: u64,
    },
    /// Removes a name from an index.
    Remove {
        /// The index.
        index: &'a str,
        /// The name.
        name: &'a str,
    },
    /// Removes a name from an index if it has this rank.
    RemoveRanked {
        /// The index.
        index: &'a str,
        /// The name.
        name: &'a str,
        /// The rank.
        rank: u64,
    },
    /// Removes all names from an index but those of the highest ranks.
    Trim {
        /// The index.
        index: &'a str,
        /// The number of names that stay.
        keep: usize,
    },
    /// Removes an index.
    Clear {
        /// The index.
        index: &'a str,
    },
}
