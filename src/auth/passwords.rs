//! Passwords: hashed with Argon2id, a bounded number at a time, as each takes 19 MiB and a core.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use unicode_normalization::UnicodeNormalization;

use crate::telemetry::{LimitReason, METRICS};

/// OWASP's first choice for Argon2id (Password Storage Cheat Sheet): memory in KiB, passes, lanes.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Passwords that are hashed concurrently, and that may wait in the queue.
const MAX_CONCURRENT_HASHES: usize = 2;
const MAX_WAITING_HASHES: usize = 64;

/// The queue for hashing is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

static PASSWORDS: LazyLock<Passwords> = LazyLock::new(Passwords::default);

/// The commonest passwords of the allowed length, in small letters: one a line, sorted.
const COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");
/// Passwords with fewer different characters than this are guessable.
const MIN_DIFFERENT_CHARS: usize = 3;

/// Returns whether a password is among the first that are tried: the name of its user, a common
/// one, or one of two characters.
pub(crate) fn is_guessable(password: &str, name: &str) -> bool {
    let password = password.to_lowercase();
    let different: std::collections::BTreeSet<char> = password.chars().collect();
    password == name.to_lowercase()
        || different.len() < MIN_DIFFERENT_CHARS
        || COMMON_PASSWORDS.lines().any(|common| common == password)
}

/// Returns the hash of a password, as a PHC string with its salt and parameters.
///
/// # Errors
/// Returns [`Busy`] when the queue is full.
pub(crate) async fn hash(password: &str) -> Result<String, Busy> {
    PASSWORDS.hash(password).await
}

/// Returns whether the password matches the hash. Without a hash, as for an unknown user, returns
/// `false` after the same work, so that the time reveals nothing.
///
/// # Errors
/// Returns [`Busy`] when the queue is full.
pub(crate) async fn verify(password: &str, phc: Option<&str>) -> Result<bool, Busy> {
    PASSWORDS.verify(password, phc).await
}

/// The queue and the parameters of hashing.
struct Passwords {
    turns: Arc<Semaphore>,
    slots: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(MAX_CONCURRENT_HASHES)),
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT_HASHES + MAX_WAITING_HASHES)),
        }
    }
}

impl Passwords {
    async fn hash(&self, password: &str) -> Result<String, Busy> {
        let password = normal(password);
        self.work(move || salted(&password)).await
    }

    async fn verify(&self, password: &str, phc: Option<&str>) -> Result<bool, Busy> {
        let (password, phc) = (normal(password), phc.map(str::to_owned));
        self.work(move || is_right(&password, phc.as_deref())).await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            METRICS.refused(LimitReason::Passwords);
            Busy
        })?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Busy)?;
        // A disconnected client ends the waiting, but not the work, which holds its permits until
        // done.
        let done = spawn_blocking(move || {
            let _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (slot, turn);
            work()
        });
        done.await.map_err(|_| Busy) // the runtime ends
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY, PASSES, LANES, None).expect("constant parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn salted(password: &str) -> String {
    let hash = argon2().hash_password(password.as_bytes());
    hash.expect("a salt of the system's, and a text that is not longer than a body").to_string()
}

fn is_right(password: &str, phc: Option<&str>) -> bool {
    if let Some(phc) = phc {
        return argon2().verify_password(password.as_bytes(), phc).is_ok();
    }
    drop(salted(password));
    false
}

/// Normalizes a password: a keyboard may write `é` as one character or as two (RFC 8265, section
/// 4.2.1).
fn normal(password: &str) -> String {
    password.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_others_are_not() {
        let passwords = Passwords::default();
        let phc = passwords.hash("correct hörse").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_ne!(passwords.hash("correct hörse").await.unwrap(), phc, "each has its own salt");
        for (password, right) in
            [("correct hörse", true), ("correct ho\u{308}rse", true), ("correct horse", false), ("", false)]
        {
            assert_eq!(passwords.verify(password, Some(&phc)).await, Ok(right), "{password:?}");
            assert_eq!(passwords.verify(password, None).await, Ok(false));
        }
        assert_eq!(passwords.verify("x", Some("no hash")).await, Ok(false));
    }

    /// Compares the work, which does not depend on other load; a black-box test measures the time.
    #[test]
    fn an_unknown_name_costs_as_much_as_a_wrong_password() {
        let phc = salted("right");
        let work = |phc: Option<&str>| {
            allocation_counter::measure(|| assert!(!is_right("wrong", phc))).bytes_max / 1024
        };
        let (wrong, unknown) = (work(Some(&phc)), work(None));
        assert!(wrong >= u64::from(MEMORY) && wrong.abs_diff(unknown) <= 16, "{wrong} and {unknown} KiB");
    }

    #[tokio::test]
    async fn the_queue_of_passwords_is_bounded() {
        let passwords = Passwords::default();
        let turns = Arc::clone(&passwords.turns).acquire_many_owned(2).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..MAX_CONCURRENT_HASHES + MAX_WAITING_HASHES {
            let mut next = Box::pin(passwords.verify("x", Some("no hash")));
            assert!(futures_util::poll!(&mut next).is_pending());
            waiting.push(next);
        }
        assert_eq!(passwords.verify("x", None).await, Err(Busy));
        drop(waiting);
        drop(turns);
        assert_eq!(passwords.verify("x", Some("no hash")).await, Ok(false), "who went away waits no more");
    }
}
