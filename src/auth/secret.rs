//! Random secrets, stored only as hashes.

use std::fmt::Write as _;

use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

/// Characters of a secret: 43 of an alphabet of 62 hold 256 bits.
const LENGTH: usize = 43;
/// Bytes of a user id. Ids need to be unique, not secret.
const ID_BYTES: usize = 8;

/// Returns a new secret of 256 bits, in letters and digits.
pub fn new() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), LENGTH)
}

/// Returns whether the text has the form of a secret. Other texts need no look-up.
pub fn is_one(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns the hash under which a secret is stored. A random secret needs no salt and no slow hash.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// Returns a new public user id: 16 hexadecimal digits.
pub(crate) fn user_id() -> String {
    hex(&rand::random::<[u8; ID_BYTES]>())
}

/// Returns whether the text has the form of a user id.
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
