//! The order of message ids, which are those of a Redis stream.

/// Where a message stands in its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64, u64);

impl Position {
    /// Before the first message of a log.
    pub const START: Self = Self(0, 0);

    /// Behind the last message of any log.
    pub const END: Self = Self(u64::MAX, u64::MAX);

    /// The position of this id; no id stands for the start.
    pub fn of(id: Option<&str>) -> Self {
        let Some(id) = id else { return Self::START };
        let (milliseconds, sequence) = id.split_once('-').unwrap_or((id, "0"));
        let number = |part: &str| part.parse().unwrap_or_else(|_| panic!("{id:?} is no id of a stream"));
        Self(number(milliseconds), number(sequence))
    }
}
