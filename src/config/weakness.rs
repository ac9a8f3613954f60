//! Why a secret can be guessed.

use std::collections::HashSet;

use thiserror::Error;

/// The minimum number of characters, and of distinct ones. 256 random bits in hexadecimal have 64,
/// and nearly all 16.
const MIN_CHARS: usize = 32;
const MIN_DISTINCT_CHARS: usize = 10;

/// Why a secret can be guessed. Its text does not contain the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Weakness {
    /// The secret has this many characters.
    #[error("got {0} characters, expected at least {MIN_CHARS}, made by chance")]
    TooShort(usize),
    /// The secret has this many different characters.
    #[error("got {0} different characters, expected at least {MIN_DISTINCT_CHARS}, made by chance")]
    TooUniform(usize),
}

impl Weakness {
    /// Returns why these bytes are weak; `None` if they are not.
    pub(crate) fn find(secret: &[u8]) -> Option<Self> {
        let different = secret.iter().collect::<HashSet<_>>().len();
        if secret.len() < MIN_CHARS {
            Some(Self::TooShort(secret.len()))
        } else if different < MIN_DISTINCT_CHARS {
            Some(Self::TooUniform(different))
        } else {
            None
        }
    }
}
