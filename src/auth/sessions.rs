//! Logins: sessions of browsers, each identified by a random secret in a cookie.
//!
//! | record | what |
//! |---|---|
//! | `login:<hash of the secret>` | the user; expires the configured days after its last use |
//! | index `logins:<user's id>` | the hashes of a user's logins, by start time |

use std::time::Duration;

use cookie::Cookie;
use serde::{Deserialize, Serialize};

use super::secret;
use crate::auth::accounts::{Account, Accounts};
use crate::layer::{Change, Index, LayerError, RightsChange, SharedStore, Store};
use crate::wire::cookies;
use crate::wire::time::now;

/// Logins that one user may have. Beyond it the oldest ends.
const MAX_LOGINS_PER_USER: usize = 50;

#[derive(Serialize, Deserialize)]
struct Session {
    user: String,
    made: u64,
    /// The account's `logins_ended` when the password was checked.
    #[serde(default)]
    logins_ended: u64,
    /// The id of the guest that its browser is without a login.
    #[serde(default)]
    guest: Option<String>,
}

/// Starts a login and returns its secret. The user may have too many then: [`surplus`].
pub(crate) async fn begin(
    store: &SharedStore,
    account: &Account,
    guest: Option<String>,
    ttl: Duration,
) -> Result<String, LayerError> {
    let secret = secret::new();
    let hash = secret::hash(&secret);
    let session =
        Session { user: account.key().to_owned(), made: now(), logins_ended: account.logins_ended, guest };
    store.write(&key(&hash), &session, Some(ttl)).await?;
    store.add(&index(&account.id), &hash, now()).await?;
    Ok(secret)
}

/// Returns the oldest logins of a user, beyond [`MAX_LOGINS_PER_USER`].
pub(crate) async fn surplus(store: &SharedStore, user: &str) -> Result<Vec<String>, LayerError> {
    let logins = store.top(&index(user), 2 * MAX_LOGINS_PER_USER).await?;
    Ok(logins.into_iter().skip(MAX_LOGINS_PER_USER).map(|(hash, _)| hash).collect())
}

/// Returns the account of a login, if the login exists, and extends it.
pub(crate) async fn find(
    store: &SharedStore,
    hash: &str,
    ttl: Duration,
) -> Result<Option<Account>, LayerError> {
    let Some(session) = store.read_and_refresh::<Session>(&key(hash), ttl).await? else { return Ok(None) };
    let account = (Accounts { store }).at(&session.user).await?;
    Ok(account.filter(|account| account.logins_ended == session.logins_ended))
}

/// Returns the guests that the browsers with a login of this user are without it.
pub(crate) async fn guests(store: &SharedStore, user: &str) -> Result<Vec<String>, LayerError> {
    let logins = store.top(&index(user), 2 * MAX_LOGINS_PER_USER).await?;
    let keys: Vec<String> = logins.iter().map(|(hash, _)| key(hash)).collect();
    let sessions = store.read_all::<Session>(&keys).await?;
    Ok(sessions.into_iter().filter_map(|session| session?.guest).collect())
}

/// Returns whether a login exists.
pub(crate) async fn exists(store: &SharedStore, hash: &str) -> Result<bool, LayerError> {
    Ok(store.get(&key(hash)).await?.is_some())
}

/// Ends a login.
pub(crate) async fn end(rights: &RightsChange<'_>, user: &str, hash: &str) -> Result<Option<()>, LayerError> {
    let (key, index) = (key(hash), index(user));
    rights.write(&[], &[Change::Delete { key: &key }, Change::Remove { index: &index, name: hash }]).await
}

/// Ends all logins of an account, also one that begins meanwhile: it names the count of before.
pub(crate) async fn end_all(
    rights: &RightsChange<'_>,
    account: &Account,
) -> Result<Option<Account>, LayerError> {
    let index = index(&account.id);
    let logins = rights.store().top(&index, 2 * MAX_LOGINS_PER_USER).await?;
    let keys: Vec<String> = logins.iter().map(|(hash, _)| key(hash)).collect();
    let deleted = keys.iter().map(|key| Change::Delete { key });
    let unlisted = logins.iter().map(|(name, _)| Change::Remove { index: &index, name });
    let records: Vec<Change<'_>> = deleted.chain(unlisted).collect();
    Accounts::change(rights, account, |account| account.logins_ended += 1, &records).await
}

/// Returns the cookie `name` of a login; without one, a cookie that deletes it.
pub(crate) fn cookie(name: &str, secret: Option<&str>, ttl: Duration, secure: bool) -> String {
    let age = if secret.is_some() { ttl } else { Duration::ZERO };
    let cookie = Cookie::build((name, secret.unwrap_or_default())).http_only(true).build();
    cookies::with_attributes(cookie, age, secure).to_string()
}

fn key(hash: &str) -> String {
    format!("login:{hash}")
}

fn index(user: &str) -> String {
    format!("logins:{user}")
}
