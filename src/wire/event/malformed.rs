//! Why bytes from Redis are no event.

use std::fmt;

/// Why bytes from Redis are no event.
#[derive(Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not MessagePack, cut short, or nested too deep.
    MessagePack,
    /// One MessagePack value, then more bytes.
    TrailingBytes,
    /// MessagePack, but not a map.
    NotAMap,
    /// A text that is not UTF-8.
    NotUtf8,
    /// A map without a string under `type`.
    NoType,
    /// A type that only the layer makes.
    Reserved,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessagePack => "`payload` is not MessagePack, or nests too deep",
            Self::TrailingBytes => "`payload` goes on after its map",
            Self::NotAMap => "`payload` is not a map",
            Self::NotUtf8 => "`payload` holds a text that is not UTF-8",
            Self::NoType => "`type` is not a string",
            Self::Reserved => "`type` begins with `parlor_`",
        })
    }
}

impl std::error::Error for Malformed {}
