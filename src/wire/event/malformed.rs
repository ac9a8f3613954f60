//! Why bytes from Redis are no event.

use thiserror::Error;

/// Why bytes from Redis are no event.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Not MessagePack, cut short, or nested too deep.
    #[error("`payload` is not MessagePack, or nests too deep")]
    MessagePack,
    /// One MessagePack value, then more bytes.
    #[error("`payload` goes on after its map")]
    TrailingBytes,
    /// MessagePack, but not a map.
    #[error("`payload` is not a map")]
    NotAMap,
    /// A text that is not UTF-8.
    #[error("`payload` holds a text that is not UTF-8")]
    NotUtf8,
    /// A map without a string under `type`.
    #[error("`type` is not a string")]
    NoType,
    /// A type that only the layer makes.
    #[error("`type` begins with `parlor_`")]
    Reserved,
}
