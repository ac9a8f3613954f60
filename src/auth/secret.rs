//! Random secrets, stored only as hashes.

use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

use crate::wire::hex::{hex, is_hex};

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
pub fn is_user_id(text: &str) -> bool {
    is_hex(text, ID_BYTES)
}
