//! The mark inside a message's text, which identifies the message wherever it arrives.

use memchr::memchr;

/// Identifies a message by room, publisher and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) room: u32,
    /// Index of the publisher in its room.
    pub(crate) speaker: u32,
    /// Counted from 0 for each publisher.
    pub(crate) number: u32,
}

/// Length of a message's text, in bytes.
const LENGTH: usize = 128;
/// Occurs in no other frame: user ids are hexadecimal, and this program names the rooms.
const SIGN: u8 = b'@';

impl Mark {
    /// Returns the client frame that sends it, with a unique message id.
    pub(crate) fn frame(self) -> String {
        let Self { room, speaker, number } = self;
        let text = format!("{}{room}.{speaker}.{number}.", char::from(SIGN));
        format!(r#"{{"message": "{text:x<LENGTH$}", "id": "{room}-{speaker}-{number}"}}"#)
    }

    /// Finds the mark in a frame.
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
