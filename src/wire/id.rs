//! Message ids: positions in the log of a group.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The id of an entry in a Redis stream (`<ms>-<sequence>`): the time of writing, and a sequence
/// number within that millisecond. Ids of a log only increase.
///
/// # Examples
/// ```
/// use parlor::Id;
///
/// let first: Id = "1790000000000-9".parse().unwrap();
/// let second: Id = "1790000000000-10".parse().unwrap();
/// assert!(Id::START < first && first < second, "ids compare as numbers, not as texts");
/// assert_eq!(second.millis(), 1_790_000_000_000);
/// assert_eq!(second.to_string(), "1790000000000-10");
/// assert!("yesterday".parse::<Id>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    millis: u64,
    sequence: u64,
}

impl Id {
    /// Before every message: the position before the first one of a log.
    pub const START: Self = Self { millis: 0, sequence: 0 };
    /// After every message, and before [`NEVER`](Self::NEVER).
    pub(crate) const LAST: Self = Self { millis: u64::MAX, sequence: u64::MAX - 1 };
    /// After every message.
    pub(crate) const NEVER: Self = Self { millis: u64::MAX, sequence: u64::MAX };

    /// Returns the time of writing, in milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.millis
    }

    /// Returns the id before everything that was written within this time before it.
    pub(crate) fn back(self, millis: u64) -> Self {
        Self { millis: self.millis.saturating_sub(millis), sequence: 0 }
    }

    /// Returns the id of a message that is written at `millis`, after this one.
    pub(crate) fn next(self, millis: u64) -> Self {
        if millis > self.millis {
            Self { millis, sequence: 0 }
        } else {
            Self { millis: self.millis, sequence: self.sequence + 1 }
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// Serializes as a text.
impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdError;

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        // `u64::from_str` accepts a leading plus.
        let number = |digits: &str| {
            if digits.starts_with('+') { Err(ParseIdError) } else { digits.parse().map_err(|_| ParseIdError) }
        };
        let (millis, sequence) = text.split_once('-').ok_or(ParseIdError)?;
        let id = Self { millis: number(millis)?, sequence: number(sequence)? };
        if id >= Self::LAST { Err(ParseIdError) } else { Ok(id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_two_numbers_and_nothing_else() {
        assert_eq!("1758-3".parse::<Id>().unwrap().to_string(), "1758-3");
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-0",
            "1-+0",
            "1--0",
            "1-0-0",
            "a-1",
            "1 -0",
            "99999999999999999999999-0",
        ] {
            assert_eq!(text.parse::<Id>(), Err(ParseIdError), "{text:?}");
        }
    }

    #[test]
    fn the_next_id_is_later_even_when_the_clock_goes_back() {
        let id = Id::START.next(5);
        assert!(id < id.next(5) && id < id.next(4) && id.next(4) < id.next(6));
    }
}
