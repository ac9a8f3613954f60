//! A mark: what a message carries so that it is known wherever it arrives.

use memchr::memchr;

/// Whose message it is, and which of hers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) room: u32,
    /// Which of the room's speakers.
    pub(crate) speaker: u32,
    /// Counted from 0 for each speaker.
    pub(crate) number: u32,
}

/// Bytes of a message's text.
const LENGTH: usize = 128;
/// Stands in no other frame: user ids are hexadecimal, and rooms have our names.
const SIGN: u8 = b'@';

impl Mark {
    /// The frame that says it, with an id that nobody used before.
    pub(crate) fn frame(self) -> String {
        let Self { room, speaker, number } = self;
        let text = format!("{}{room}.{speaker}.{number}.", char::from(SIGN));
        format!(r#"{{"message": "{text:x<LENGTH$}", "id": "{room}-{speaker}-{number}"}}"#)
    }

    /// The mark in a frame; `None` if it has none.
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        let mut rest = &frame[memchr(SIGN, frame)? + 1..];
        let mut number = || {
            let end =
                rest.iter().position(|byte| !byte.is_ascii_digit()).filter(|end| (1..10).contains(end))?;
            let (digits, more) = rest.split_at(end);
            rest = more.strip_prefix(b".")?;
            Some(digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
        };
        Some(Self { room: number()?, speaker: number()?, number: number()? })
    }
}
