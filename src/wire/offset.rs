//! Offsets: the numbers of a log's entries, and the epoch in which they count.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// Digits of an epoch.
const EPOCH_DIGITS: usize = 16;

/// The number of an entry in its log (`<16 hexadecimal digits>:<number>`).
///
/// Numbers count 1, 2, 3 … within an epoch. An epoch ends where the log may have lost entries, so
/// that no two entries of a log have the same offset.
///
/// # Examples
/// ```
/// use parlor::Offset;
///
/// let offset: Offset = "00c0ffee00000001:7".parse().unwrap();
/// assert_eq!((offset.epoch, offset.n.get()), (0xc0_ffee_0000_0001, 7));
/// assert_eq!(offset.to_string(), "00c0ffee00000001:7");
/// assert!("00c0ffee00000001:0".parse::<Offset>().is_err(), "the first one is 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offset {
    /// The epoch. Epochs of one log are distinct, and do not compare otherwise.
    pub epoch: u64,
    /// The number of the entry in its epoch.
    pub n: NonZeroU64,
}

impl Offset {
    /// Returns the first offset of an epoch.
    pub(crate) fn first(epoch: u64) -> Self {
        Self { epoch, n: NonZeroU64::MIN }
    }

    /// Returns the offset of the next entry.
    pub(crate) fn next(self) -> Self {
        Self { n: self.n.saturating_add(1), ..self }
    }

    /// Returns whether the same server began this epoch and the other one: an epoch is half of the
    /// server and half at random.
    pub(crate) fn is_of_server(self, epoch: u64) -> bool {
        self.epoch >> 32 == epoch >> 32
    }

    /// Parses the bytes of a text; `None` for any other.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok()?.parse().ok()
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}", self.epoch, self.n)
    }
}

/// The text is not an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOffsetError;

impl FromStr for Offset {
    type Err = ParseOffsetError;

    fn from_str(text: &str) -> Result<Self, ParseOffsetError> {
        let (epoch, n) = text.split_once(':').ok_or(ParseOffsetError)?;
        // `from_str_radix` and `from_str` accept a leading plus.
        let is_epoch = epoch.len() == EPOCH_DIGITS && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_epoch || !n.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseOffsetError);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| ParseOffsetError)?;
        Ok(Self { epoch, n: n.parse().map_err(|_| ParseOffsetError)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_an_epoch_and_a_number_from_one_on() {
        let first = Offset::first(0xab);
        assert_eq!(first.to_string(), "00000000000000ab:1");
        assert_eq!("00000000000000ab:2".parse(), Ok(first.next()));
        for text in [
            "",
            ":",
            "00000000000000ab",
            "00000000000000ab:",
            "00000000000000ab:0",
            "00000000000000ab:+1",
            "+0000000000000ab:1",
            "ab:1",
            "000000000000000ab:1",
            "00000000000000ag:1",
            "00000000000000ab:1:1",
            "00000000000000ab:99999999999999999999",
        ] {
            assert_eq!(text.parse::<Offset>(), Err(ParseOffsetError), "{text:?}");
        }
    }
}
