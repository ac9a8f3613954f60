//! API keys: credentials of other programs, each with a name and scopes.
//!
//! | record | what |
//! |---|---|
//! | `key:<id>` | the key, without its secret |
//! | index `keys` | ids, by time of creation |

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::secret;
use crate::auth::usernames::Username;
use crate::layer::{
    Change, Disconnect, DisconnectSender, Guard, Index, LayerError, RightsChange, SharedStore, Store,
    shared_store,
};
use crate::wire::time::now;

/// The prefix of every key, by which secret scanners recognise a leaked one.
const PREFIX: &str = "plk_";
const KEYS: &str = "keys";
const MAX_LISTED_KEYS: usize = 1000;

/// An API key without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// The public id: 16 hexadecimal digits. It is also the user id of what the key publishes.
    pub id: String,
    /// The name, unique among keys that are not revoked.
    pub name: String,
    hash: String,
    /// The scopes that the key grants.
    pub scopes: Vec<String>,
    /// The time of creation, in milliseconds since 1970.
    pub made: u64,
}

/// All API keys of this site.
#[derive(Clone, Copy)]
pub struct ApiKeys<'a> {
    pub(crate) store: &'a SharedStore,
}

impl ApiKeys<'_> {
    /// Creates a key; returns it and its text, which is not stored. Returns `None` if the name
    /// breaks the rule for usernames or is taken.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn make(&self, name: &str, scopes: &[String]) -> Result<Option<(ApiKey, String)>, LayerError> {
        let Some(name) = Username::parse(name) else { return Ok(None) };
        let (id, secret) = (secret::user_id(), secret::new());
        let key = ApiKey {
            name: name.as_str().to_owned(),
            hash: secret::hash(&secret),
            scopes: scopes.to_vec(),
            made: now(),
            id,
        };
        let (name, record) = (name_key(&name), record(&key.id));
        let changes = [
            Change::Put { key: &name, value: &key.id },
            Change::Put { key: &record, value: &shared_store::json(&key) },
            Change::Add { index: KEYS, name: &key.id, rank: key.made },
        ];
        if self.store.step(&[Guard::Record { key: &name, value: None }], &changes).await?.is_some() {
            return Ok(None);
        }
        let text = format!("{PREFIX}{}_{secret}", key.id);
        Ok(Some((key, text)))
    }

    /// Returns the key with exactly this name.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_by_name(&self, name: &str) -> Result<Option<ApiKey>, LayerError> {
        let Some(name) = Username::parse(name) else { return Ok(None) };
        let Some(id) = self.store.get(&name_key(&name)).await? else { return Ok(None) };
        Ok(self.find_by_id(&id).await?.filter(|key| key.name == name.as_str()))
    }

    /// Returns whether a key could be made with this name: it breaks no rule and is free.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn is_free(&self, name: &str) -> Result<bool, LayerError> {
        match Username::parse(name) {
            Some(name) => Ok(self.store.get(&name_key(&name)).await?.is_none()),
            None => Ok(false),
        }
    }

    /// Revokes this key, and closes its sockets. Returns `None` if it was revoked already, even if
    /// its name is now another key's.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) fn revoke<'a>(
        sender: &'a impl DisconnectSender,
        key: &'a ApiKey,
    ) -> impl Future<Output = Result<Option<()>, LayerError>> + Send {
        let delete = move |rights: RightsChange<'a>| async move { ApiKeys::delete(&rights, key).await };
        async move { sender.change_rights(&[Disconnect::revocation(&key.id)], delete).await }
    }

    /// Deletes the records of this key; `None` if it has none.
    async fn delete(rights: &RightsChange<'_>, key: &ApiKey) -> Result<Option<()>, LayerError> {
        let Some(name) = Username::parse(&key.name) else { return Ok(None) };
        let (name, record) = (name_key(&name), record(&key.id));
        let changes = [
            Change::Delete { key: &record },
            Change::Delete { key: &name },
            Change::Remove { index: KEYS, name: &key.id },
        ];
        let is_own = Guard::Record { key: &name, value: Some(&key.id) };
        rights.write(&[is_own], &changes).await
    }

    /// Returns all keys, the newest first.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn all(&self) -> Result<Vec<ApiKey>, LayerError> {
        let ids = self.store.top(KEYS, MAX_LISTED_KEYS).await?;
        let records: Vec<String> = ids.iter().map(|(id, _)| record(id)).collect();
        Ok(self.store.read_all(&records).await?.into_iter().flatten().collect())
    }

    /// Returns the key with this id.
    pub(crate) async fn find_by_id(&self, id: &str) -> Result<Option<ApiKey>, LayerError> {
        self.store.read(&record(id)).await
    }

    /// Returns the key with this text, if there is one.
    pub(crate) async fn find(&self, text: &str) -> Result<Option<ApiKey>, LayerError> {
        let Some((id, secret)) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        if !secret::is_user_id(id) || !secret::is_one(secret) {
            return Ok(None);
        }
        let key = self.find_by_id(id).await?;
        let hash = secret::hash(secret);
        Ok(key.filter(|key| bool::from(key.hash.as_bytes().ct_eq(hash.as_bytes()))))
    }
}

/// Returns whether the text has the form of an API key rather than of a token.
pub(crate) fn is_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

fn record(id: &str) -> String {
    format!("key:{id}")
}

fn name_key(name: &Username) -> String {
    format!("key_name:{}", name.skeleton())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::memory::store::MemoryStore;

    #[tokio::test]
    async fn a_key_that_was_revoked_takes_no_other_of_its_name_with_it() {
        let store = SharedStore::Memory(MemoryStore::default());
        let keys = ApiKeys { store: &store };
        let make = async || keys.make("billing", &["publish".to_owned()]).await.unwrap().expect("a key").0;
        let rights = RightsChange::for_test(&store);
        let first = make().await;
        assert_eq!(ApiKeys::delete(&rights, &first).await.unwrap(), Some(()));
        let second = make().await;
        assert_eq!(ApiKeys::delete(&rights, &first).await.unwrap(), None);
        assert_eq!(keys.find_by_name("billing").await.unwrap().map(|key| key.id), Some(second.id));
    }
}
