//! Random secrets, and how they are remembered: only as hashes.

use std::fmt::Write as _;

use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

/// Characters of a secret: 43 of 62 are 256 bits.
const LENGTH: usize = 43;
/// Half of it would do to tell users apart.
const ID_BYTES: usize = 8;

/// A new secret of 256 bits, in letters and digits.
pub fn new() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), LENGTH)
}

/// Whether this may be one of [`new`]: nobody has to look for what cannot be there.
pub fn is_one(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Under what a secret is remembered. It is random, so it needs no salt and no slow hash.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// A new user's id: 16 hexadecimal digits, for everybody to see.
pub(crate) fn user_id() -> String {
    hex(&rand::random::<[u8; ID_BYTES]>())
}

/// Whether this may be a user's id.
pub(crate) fn is_user_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}
