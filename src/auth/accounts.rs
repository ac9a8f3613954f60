//! Accounts: users with a name, authenticated by a password or by tokens of another site.
//!
//! | record | what |
//! |---|---|
//! | `user:<skeleton>` | the account; confusable names share one skeleton |
//! | `user_id:<id>` | what follows `user:` in the key of the user with this id |
//! | `look:<look>` | the skeleton of the account with this visual skeleton |
//! | index `users` | what follows `user:` in all keys, by time of creation |
//!
//! Users of other sites are accounts, too: `outside_users.rs`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::secret;
use crate::auth::error::AuthError;
use crate::auth::outside_users;
use crate::auth::outside_users::OutsideUser;
use crate::auth::passwords;
use crate::auth::passwords::Busy;
use crate::auth::usernames;
use crate::auth::usernames::Username;
use crate::config::auth::{MAX_PASSWORD_BYTES, PASSWORD_CHARS, has_password_length};
use crate::layer::{
    Change, Disconnect, DisconnectSender, Index, LayerError, RightsChange, SharedStore, Store,
};
use crate::wire::time::now;

/// The index of all accounts.
pub(super) const USERS: &str = "users";
/// What is before an id where a name is expected. No username has a colon.
const ID_PREFIX: &str = "id:";

/// A user's account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The public id: 16 hexadecimal digits. It stays when the name changes.
    pub id: String,
    /// The name as the user entered it, unique among all confusable names. It keeps the rule for
    /// names of the day on which it was made. The name of a user of another site is shown, and
    /// identifies no user.
    pub name: String,
    /// What follows `user:` in the key: the skeleton of the name, or of a user of another site a
    /// hash.
    #[serde(skip)]
    pub(super) key: String,
    /// Who the user is on another site. A node of a version before leaves it out where it changes
    /// the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outside: Option<OutsideUser>,
    /// The password hash as a PHC string; `None` for accounts of tokens.
    pub(super) password: Option<String>,
    /// Whether the user operates this site.
    pub staff: bool,
    /// Whether the user is banned.
    pub banned: bool,
    /// How often all logins were ended. A login that began before the last time is void.
    #[serde(default)]
    pub(crate) logins_ended: u64,
    /// The time of creation, in milliseconds since 1970.
    pub made: u64,
}

impl Account {
    /// Returns whether the account belongs to tokens of another site; it has no password then.
    pub fn by_token(&self) -> bool {
        self.password.is_none()
    }

    /// Returns whether the user is one of another site, in their name space.
    pub(super) fn is_outside(&self) -> bool {
        outside_users::is_outside_key(&self.key)
    }

    /// Returns whether it has exactly this username, in normal form C.
    pub fn is_named(&self, name: &str) -> bool {
        !self.is_outside() && Username::parse(name).is_some_and(|name| self.name == name.as_str())
    }

    /// Returns what `find_by_name` finds it by: its username, or `id:` and its id.
    pub fn handle(&self) -> String {
        if self.is_outside() { format!("{ID_PREFIX}{}", self.id) } else { self.name.clone() }
    }

    /// Returns what tokens of the other site call the user.
    pub(crate) fn sub(&self) -> Option<&str> {
        match &self.outside {
            Some(outside) => Some(&outside.sub),
            // Of an earlier version, which named accounts by it.
            None => (self.by_token() && !self.is_outside()).then_some(self.name.as_str()),
        }
    }

    /// Returns what follows `user:` in its key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

/// Why an account was not created.
#[derive(Debug, Error)]
pub enum SignUpError {
    /// The name breaks the rule for names.
    #[error("{}", usernames::RULE)]
    Name,
    /// The password is too short, too long, equals the name, or is one of the commonest.
    #[error(
        "the password: expected {} to {} characters, not the name, and none of the commonest passwords",
        PASSWORD_CHARS.start(),
        PASSWORD_CHARS.end()
    )]
    Password,
    /// The name, or a confusable one, is taken.
    #[error("this name, or one that looks like it, is taken")]
    Taken,
    /// The layer failed.
    #[error(transparent)]
    Unavailable(#[from] LayerError),
    /// Too many passwords are being hashed.
    #[error("too many passwords are being hashed")]
    Busy,
}

impl From<Busy> for SignUpError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// All accounts of this site.
#[derive(Clone, Copy)]
pub struct Accounts<'a> {
    pub(crate) store: &'a SharedStore,
}

impl Accounts<'_> {
    /// Creates an account with a password. Names that suggest a role of the site are taken.
    ///
    /// # Errors
    /// Returns [`SignUpError`].
    pub async fn sign_up(&self, name: &str, password: &str) -> Result<Account, SignUpError> {
        if Username::parse(name).is_some_and(|name| name.is_reserved()) {
            return Err(SignUpError::Taken);
        }
        self.add(name, password, false).await
    }

    /// Checks whether an account with this name and password may be added.
    pub(crate) async fn check_new(&self, name: &str, password: &str) -> Result<Username, SignUpError> {
        let name = Username::parse(name).ok_or(SignUpError::Name)?;
        if !has_password_length(password) || passwords::is_guessable(password, name.as_str()) {
            return Err(SignUpError::Password);
        }
        if self.find_confusable(name.as_str()).await?.is_some() || !self.looks_new(&name).await? {
            return Err(SignUpError::Taken);
        }
        Ok(name)
    }

    /// Creates an account with a password, optionally of an operator.
    pub(crate) async fn add(&self, name: &str, password: &str, staff: bool) -> Result<Account, SignUpError> {
        let name = self.check_new(name, password).await?;
        let hash = passwords::hash(password).await?;
        self.make(&name, Some(hash), staff).await?.ok_or(SignUpError::Taken)
    }

    /// Returns the account with this name, or a confusable one, and this password. Takes the same
    /// time whether or not the name exists.
    ///
    /// # Errors
    /// Returns [`AuthError`] when the layer does not answer, or too many passwords are being
    /// checked.
    pub(crate) async fn check(&self, name: &str, password: &str) -> Result<Option<Account>, AuthError> {
        let account = self.find_confusable(name).await?;
        let hash = account.as_ref().and_then(|account| account.password.as_deref());
        let right = password.len() <= MAX_PASSWORD_BYTES;
        let right = passwords::verify(if right { password } else { "" }, hash).await? && right;
        Ok(account.filter(|_| right))
    }

    /// Returns the account with exactly this name, in normal form C: what is meant for one name is
    /// not given to a confusable one. `id:` and an id name any account, also of a user of another
    /// site, who has no username.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_by_name(&self, name: &str) -> Result<Option<Account>, LayerError> {
        match name.trim().strip_prefix(ID_PREFIX) {
            Some(id) if secret::is_user_id(id) => self.find_by_id(id).await,
            Some(_) => Ok(None),
            None => self.find_by_username(name).await,
        }
    }

    pub(super) async fn find_by_username(&self, name: &str) -> Result<Option<Account>, LayerError> {
        let Some(name) = Username::parse(name) else { return Ok(None) };
        let account = self.at(&name.skeleton()).await?;
        Ok(account.filter(|account| account.is_named(name.as_str())))
    }

    /// Returns the account with this name, or with a confusable one. Rights are given by
    /// [`find_by_name`](Self::find_by_name).
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_confusable(&self, name: &str) -> Result<Option<Account>, LayerError> {
        match Username::parse(name) {
            Some(name) => self.at(&name.skeleton()).await,
            None => Ok(None),
        }
    }

    /// Returns the account with this id.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_by_id(&self, id: &str) -> Result<Option<Account>, LayerError> {
        match self.store.get(&id_key(id)).await? {
            Some(skeleton) => self.at(&skeleton).await,
            None => Ok(None),
        }
    }

    /// Returns the accounts with these ids, by their ids.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_all<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a String, IntoIter: Send> + Send,
    ) -> Result<HashMap<String, Account>, LayerError> {
        let keys: Vec<String> = ids.into_iter().map(|id| id_key(id)).collect();
        let skeletons: Vec<String> = self.store.get_all(&keys).await?.into_iter().flatten().collect();
        let accounts = self.all_at(skeletons).await?;
        Ok(accounts.into_iter().map(|account| (account.id.clone(), account)).collect())
    }

    /// Returns the newest accounts.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn newest(&self, limit: usize) -> Result<Vec<Account>, LayerError> {
        let newest = self.store.top(USERS, limit).await?;
        self.all_at(newest.into_iter().map(|(skeleton, _)| skeleton).collect()).await
    }

    /// Returns the number of accounts.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn count(&self) -> Result<usize, LayerError> {
        self.store.count(USERS).await
    }

    /// Changes an account, with further changes in the same step, and returns the new one; `None`
    /// if there is no account. Concurrent changes are made one after another: `change` may be
    /// called several times.
    pub(crate) async fn change(
        rights: &RightsChange<'_>,
        account: &Account,
        change: impl Fn(&mut Account) + Send + Sync,
        further: &[Change<'_>],
    ) -> Result<Option<Account>, LayerError> {
        let changed: Option<Account> = rights.change(&key(&account.key), change, further).await?;
        Ok(changed.map(|changed| Account { key: account.key.clone(), ..changed }))
    }

    /// Makes this account an operator, or revokes that, and has its sockets connect again. Returns
    /// `None` if the account is there no more.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) fn set_staff<'a>(
        sender: &'a impl DisconnectSender,
        account: &'a Account,
        staff: bool,
    ) -> impl Future<Output = Result<Option<Account>, LayerError>> + Send {
        let set = move |rights: RightsChange<'a>| async move {
            Accounts::change(&rights, account, |account| account.staff = staff, &[]).await
        };
        async move { sender.change_rights(&[Disconnect::renewal(&account.id)], set).await }
    }

    async fn make(
        &self,
        name: &Username,
        password: Option<String>,
        staff: bool,
    ) -> Result<Option<Account>, LayerError> {
        let skeleton = name.skeleton();
        let account = Account {
            id: secret::user_id(),
            name: name.as_str().to_owned(),
            key: skeleton.clone(),
            outside: None,
            password,
            staff,
            banned: false,
            logins_ended: 0,
            made: now(),
        };
        // Writes the id index first: a dangling index entry is harmless, an unindexed account is
        // not.
        self.store.put(&id_key(&account.id), &skeleton, None).await?;
        let made =
            self.store.create(&key(&skeleton), &crate::layer::shared_store::json(&account), None).await?;
        if !made
            || !self.store.create(&visual_skeleton(name), &skeleton, None).await?
                && !self.looks_new(name).await?
        {
            self.store.delete(&id_key(&account.id)).await?;
            if made {
                self.store.delete(&key(&skeleton)).await?;
            }
            return Ok(None);
        }
        self.store.add(USERS, &skeleton, account.made).await?;
        self.mark_lookalikes(name.as_str()).await?;
        Ok(Some(account))
    }

    /// Returns whether no other account's name has the same visual skeleton.
    async fn looks_new(&self, name: &Username) -> Result<bool, LayerError> {
        let whose = self.store.get(&visual_skeleton(name)).await?;
        Ok(whose.is_none_or(|skeleton| skeleton == name.skeleton()))
    }

    pub(crate) async fn at(&self, skeleton: &str) -> Result<Option<Account>, LayerError> {
        let account: Option<Account> = self.store.read(&key(skeleton)).await?;
        Ok(account.map(|account| Account { key: skeleton.to_owned(), ..account }))
    }

    /// Returns the accounts that there are under these skeletons, in their order.
    async fn all_at(&self, skeletons: Vec<String>) -> Result<Vec<Account>, LayerError> {
        let keys: Vec<String> = skeletons.iter().map(|skeleton| key(skeleton)).collect();
        let accounts = self.store.read_all::<Account>(&keys).await?;
        let found = skeletons.into_iter().zip(accounts);
        Ok(found.filter_map(|(skeleton, account)| Some(Account { key: skeleton, ..account? })).collect())
    }
}

pub(super) fn id_key(id: &str) -> String {
    format!("user_id:{id}")
}

pub(super) fn key(skeleton: &str) -> String {
    format!("user:{skeleton}")
}

fn visual_skeleton(name: &Username) -> String {
    visual_skeleton_key(&name.visual_skeleton())
}

pub(super) fn visual_skeleton_key(skeleton: &str) -> String {
    format!("look:{skeleton}")
}
