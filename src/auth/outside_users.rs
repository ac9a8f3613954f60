//! Users of other sites: accounts made by tokens, in a name space of their own.
//!
//! | record | what |
//! |---|---|
//! | `user:OUTSIDE:<hash of iss and sub>` | the account; no skeleton of a username has a capital |
//! | `shown:<hash of a skeleton>` | the key of the user that is shown by such a name |
//! | `shown_look:<hash of a visual skeleton>` | likewise |
//!
//! A name is shown with a mark if it looks like the name of an account, or like one that another
//! user of these is shown by. Both sides write first and then look for the other, so that of two
//! names that are taken at once at least one side sees the other's.

use serde::{Deserialize, Serialize};

use super::accounts::{Account, Accounts, USERS, id_key, key, visual_skeleton_key};
use super::jwt::Claims;
use super::{secret, shown_name, usernames};
use crate::layer::{Change, Guard, Index, LayerError, Store, shared_store};
use crate::wire::time::now;

/// What the keys of these accounts begin with.
const KEY_PREFIX: &str = "OUTSIDE:";

/// Who a user of another site is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutsideUser {
    pub(super) iss: String,
    pub(super) sub: String,
    /// The name that the account's name was made of; `None` before that.
    wanted: Option<String>,
}

impl OutsideUser {
    fn new(claims: &Claims) -> Self {
        Self { iss: claims.iss.clone(), sub: claims.sub.clone(), wanted: None }
    }
}

impl Accounts<'_> {
    /// Returns the account of a valid token's user, created on first use.
    pub(crate) async fn provisioned_from_token(&self, claims: &Claims) -> Result<Account, LayerError> {
        let account = match self.find_outside(&claims.iss, &claims.sub).await? {
            Some(account) => account,
            None => self.make_outside(claims).await?,
        };
        if !account.is_outside() {
            return Ok(account);
        }
        let account = match account.outside {
            Some(_) => account,
            None => self.restore_outside(account, claims).await?,
        };
        let wanted_before = account.outside.as_ref().and_then(|outside| outside.wanted.as_ref());
        let texts = [claims.name.as_deref(), Some(claims.sub.as_str())];
        let wanted = texts.into_iter().flatten().find_map(shown_name::shown);
        let wanted = wanted.unwrap_or_else(|| account.id.clone());
        if wanted_before == Some(&wanted) {
            return Ok(account);
        }
        self.rename_outside(account, wanted).await
    }

    /// Returns the account of a user of another site. It may be of an earlier version, which named
    /// accounts by `sub`.
    pub(crate) async fn find_outside(&self, iss: &str, sub: &str) -> Result<Option<Account>, LayerError> {
        if let Some(account) = self.at(&outside_key(iss, sub)).await? {
            return Ok(Some(account));
        }
        let before = self.find_by_username(sub).await?;
        Ok(before.filter(|account| account.by_token() && account.name == sub))
    }

    /// Returns the user of another site that is shown by this name or by one that looks like it,
    /// without a mark.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_shown(&self, name: &str) -> Result<Option<Account>, LayerError> {
        let Some(name) = shown_name::shown(name) else { return Ok(None) };
        match self.store.get(&shown_keys(&name)[0]).await? {
            Some(key) => self.at(&key).await,
            None => Ok(None),
        }
    }

    /// Marks the users of other sites whose shown names look like that of a new account.
    pub(super) async fn mark_lookalikes(&self, name: &str) -> Result<(), LayerError> {
        for whose in self.store.get_all(&shown_keys(name)).await?.into_iter().flatten() {
            let marked = self.update(&whose, |account| {
                let Some(wanted) = account.outside.as_ref().and_then(|outside| outside.wanted.as_deref())
                else {
                    return;
                };
                account.name = shown_name::marked(wanted, &account.id);
            });
            if let Some(account) = marked.await?
                && let Some(wanted) = account.outside.and_then(|outside| outside.wanted)
            {
                self.release(&wanted, &whose).await?;
            }
        }
        Ok(())
    }

    async fn make_outside(&self, claims: &Claims) -> Result<Account, LayerError> {
        let key_of_user = outside_key(&claims.iss, &claims.sub);
        let id = secret::user_id();
        let outside = OutsideUser::new(claims);
        let account = Account {
            name: id.clone(),
            id,
            key: key_of_user.clone(),
            outside: Some(outside),
            password: None,
            staff: false,
            banned: false,
            logins_ended: 0,
            made: now(),
        };
        // As for accounts with a password.
        self.store.put(&id_key(&account.id), &key_of_user, None).await?;
        if !self.store.create(&key(&key_of_user), &shared_store::json(&account), None).await? {
            self.store.delete(&id_key(&account.id)).await?;
            if let Some(account) = self.at(&key_of_user).await? {
                return Ok(account); // created concurrently
            }
        }
        self.store.add(USERS, &key_of_user, account.made).await?;
        Ok(account)
    }

    /// Writes again who the user is, which a node of a version before has left out.
    async fn restore_outside(&self, account: Account, claims: &Claims) -> Result<Account, LayerError> {
        let restored = self.update(&account.key, |account| {
            account.outside.get_or_insert_with(|| OutsideUser::new(claims));
        });
        Ok(restored.await?.unwrap_or(account))
    }

    /// Shows a user by another name, with a mark where it looks like another one.
    async fn rename_outside(&self, account: Account, wanted: String) -> Result<Account, LayerError> {
        let is_own = self.claim(&wanted, &account.key).await? && !self.looks_like_account(&wanted).await?;
        let name = if is_own { wanted.clone() } else { shown_name::marked(&wanted, &account.id) };
        let renamed = self.update(&account.key, |account| {
            account.name.clone_from(&name);
            if let Some(outside) = &mut account.outside {
                outside.wanted = Some(wanted.clone());
            }
        });
        let renamed = renamed.await?;
        let before = account.outside.as_ref().and_then(|outside| outside.wanted.as_ref());
        if let Some(before) = before
            && !(is_own && shown_keys(before) == shown_keys(&wanted))
        {
            self.release_but(before, is_own.then_some(&*wanted), &account.key).await?;
        }
        if !is_own {
            self.release(&wanted, &account.key).await?;
        }
        Ok(renamed.unwrap_or(account))
    }

    /// Reserves a shown name; returns whether no other user of another site has it.
    async fn claim(&self, name: &str, whose: &str) -> Result<bool, LayerError> {
        for key in shown_keys(name) {
            if !self.store.create(&key, whose, None).await?
                && self.store.get(&key).await?.as_deref() != Some(whose)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn release(&self, name: &str, whose: &str) -> Result<(), LayerError> {
        self.release_but(name, None, whose).await
    }

    /// Ends a user's right to a shown name, but for what another name of it needs.
    async fn release_but(&self, name: &str, kept: Option<&str>, whose: &str) -> Result<(), LayerError> {
        let kept = kept.map(shown_keys);
        for key in shown_keys(name).iter().filter(|key| !kept.iter().flatten().any(|kept| kept == *key)) {
            let is_own = Guard::Record { key, value: Some(whose) };
            self.store.step(&[is_own], &[Change::Delete { key }]).await?;
        }
        Ok(())
    }

    /// Returns whether a name looks like that of an account with a password, or of the site.
    async fn looks_like_account(&self, name: &str) -> Result<bool, LayerError> {
        let keys =
            [key(&usernames::skeleton_of(name)), visual_skeleton_key(&usernames::visual_skeleton_of(name))];
        let accounts = self.store.get_all(&keys).await?;
        Ok(shown_name::is_misleading(name) || accounts.iter().any(Option::is_some))
    }

    /// Changes an account where no right is changed. `change` may be called several times.
    async fn update(
        &self,
        of: &str,
        change: impl Fn(&mut Account) + Send + Sync,
    ) -> Result<Option<Account>, LayerError> {
        let record = key(of);
        loop {
            let Some(old) = self.store.get(&record).await? else { return Ok(None) };
            let mut account: Account = shared_store::parse(&record, &old)?;
            change(&mut account);
            let new = shared_store::json(&account);
            let is_same = Guard::Record { key: &record, value: Some(&old) };
            let put = Change::Put { key: &record, value: &new };
            if new == old || self.store.step(&[is_same], &[put]).await?.is_none() {
                return Ok(Some(Account { key: of.to_owned(), ..account }));
            }
        }
    }
}

/// Returns the key of a user of another site. The length of `iss` says where `sub` begins.
fn outside_key(iss: &str, sub: &str) -> String {
    format!("{KEY_PREFIX}{}", secret::hash(&format!("{} {iss}{sub}", iss.len())))
}

/// Returns whether this is the key of a user of another site.
pub(super) fn is_outside_key(key: &str) -> bool {
    key.starts_with(KEY_PREFIX)
}

/// Returns the records of the user that is shown by this name.
fn shown_keys(name: &str) -> [String; 2] {
    let hash = |text: &str| secret::hash(text);
    [
        format!("shown:{}", hash(&usernames::skeleton_of(name))),
        format!("shown_look:{}", hash(&usernames::visual_skeleton_of(name))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_name_names_no_user_where_a_record_lacks_who_it_is() {
        let account = |key: String| Account {
            id: "0123456789abcdef".to_owned(),
            name: "bob".to_owned(),
            key,
            outside: None,
            password: None,
            staff: false,
            banned: false,
            logins_ended: 0,
            made: 0,
        };
        let outside = account(outside_key("https://other.example", "eve"));
        assert_eq!((outside.sub(), &*outside.handle()), (None, "id:0123456789abcdef"));
        assert!(!outside.is_named("bob"));
        let of_before = account("bob".to_owned());
        assert_eq!((of_before.sub(), &*of_before.handle()), (Some("bob"), "bob"));
    }

    #[test]
    fn no_two_users_and_no_username_have_one_key() {
        let users =
            [("", "alice"), ("a", "lice"), ("", "5 alice"), ("1 a", "lice"), ("alice", ""), ("", "alice\0")];
        for (at, one) in users.iter().enumerate() {
            for other in &users[at + 1..] {
                assert_ne!(outside_key(one.0, one.1), outside_key(other.0, other.1), "{one:?} {other:?}");
            }
        }
        // A mark that resembles a colon is allowed in a username, capitals are folded.
        for name in ["OUTSIDE\u{903}a", "outside\u{903}a", "ＯＵＴＳＩＤＥ\u{903}a", "𝕆UTSIDE\u{903}a"]
        {
            let name = usernames::Username::parse(name).expect("a username");
            assert!(!name.skeleton().starts_with("OUTSIDE"), "{name}");
        }
    }
}
