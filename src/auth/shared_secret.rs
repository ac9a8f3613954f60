//! The secret that the nodes of a site share, if no setting has one: which of two is used.

use cookie::Key as CookieKey;

use crate::auth::secret;
use crate::wire::time::now;

/// The shortest secret that a key can be derived from.
const MIN_BYTES: usize = 32;
/// Age up to which a secret may be one that was made because Redis had lost another: a node
/// compares every two seconds, and clocks differ.
const NEW_MILLIS: u64 = 60_000;

/// A secret, with the time at which it was made behind a dot, in Unix milliseconds.
///
/// Versions before wrote secrets without a time. They derive their key from the whole text, as this
/// one does, so that nodes of both versions have one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SharedSecret(String);

impl SharedSecret {
    /// Makes a secret.
    pub(super) fn new() -> Self {
        Self(format!("{}.{}", secret::new(), now()))
    }

    /// Returns the secret of this record; `None` if it is too short for one.
    pub(super) fn parse(text: String) -> Option<Self> {
        (text.len() >= MIN_BYTES).then_some(Self(text))
    }

    /// Returns the record.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key that signs cookies.
    pub(super) fn key(&self) -> CookieKey {
        CookieKey::derive_from(self.0.as_bytes())
    }

    /// Returns whether this one was made before the other. One without a time is the older one.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        self.made_at() < other.made_at()
    }

    /// Returns whether it was made within the last minute, or later by another clock.
    pub(super) fn is_new(&self) -> bool {
        self.made_at() > now().saturating_sub(NEW_MILLIS)
    }

    fn made_at(&self) -> u64 {
        self.0.rsplit_once('.').and_then(|(_, time)| time.parse().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_that_was_made_first_is_the_older_one() {
        let secret = |suffix: &str| SharedSecret::parse(format!("{}{suffix}", "x".repeat(43))).unwrap();
        let before = secret("");
        assert!(before.is_older_than(&secret(".7")) && secret(".7").is_older_than(&secret(".10")));
        assert!(secret(".10").is_older_than(&SharedSecret::new()));
        for (one, other) in [(&before, &secret(".x")), (&secret(".7"), &secret(".7"))] {
            assert!(!one.is_older_than(other) && !other.is_older_than(one));
        }
        assert!(SharedSecret::new().is_new() && !secret(".10").is_new() && !before.is_new());
        assert_eq!(SharedSecret::parse("short".to_owned()), None);
    }
}
