//! Guests: users without an account, identified by a signed cookie with an id and a nickname.
//!
//! | record | what |
//! |---|---|
//! | `nick:<skeleton>` | the id of the guest with this nickname; expires with the cookie |
//! | `ban:<id>` | present if this guest is banned; the id of the account with which it is banned |
//! | index `bans` | ids of guests that are banned by themselves, by time of the ban |
//! | index `bans_with:<id>` | ids of guests that are banned with this account |

use std::time::Duration;

use cookie::{Cookie, CookieJar, Key};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::secret;
use crate::auth::usernames::Username;
use crate::layer::{Change, Guard, Index, LayerError, RightsChange, SharedStore, Store};
use crate::wire::cookies;
use crate::wire::time::now;

/// The name under which a value is signed and verified. The signature does not cover it.
pub(crate) const SIGNED: &str = "guest";
/// One year, as for Django's CSRF cookie.
const AGE: Duration = Duration::from_hours(24 * 7 * 52);
const BANS: &str = "bans";
/// More than an account has logins.
const MAX_BANS_WITH_ACCOUNT: usize = 1000;
/// Digits of the id that name a guest without a nickname.
const DIGITS: usize = 8;

/// A user without an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    pub(crate) id: String,
    pub(crate) nickname: Option<Username>,
}

impl Guest {
    /// Creates a guest with a new id.
    pub(crate) fn new() -> Self {
        Self { id: secret::user_id(), nickname: None }
    }

    /// Returns the guest of a cookie; `None` if the signature is invalid.
    pub(crate) fn from_cookie(cookie: &str, key: &Key) -> Option<Self> {
        let mut jar = CookieJar::new();
        jar.add_original(Cookie::new(SIGNED, cookie.to_owned()));
        let signed = jar.signed(key).get(SIGNED)?;
        let (id, nickname) = signed.value().split_once('.')?;
        let nickname = percent_decode_str(nickname).decode_utf8().ok()?;
        secret::is_user_id(id).then(|| Self { id: id.to_owned(), nickname: Username::parse(&nickname) })
    }

    /// Returns the guest of these cookies; `None` if there is no valid one, or valid ones of
    /// several guests.
    pub(crate) fn from_cookies(cookies: &[&str], key: &Key) -> Option<Self> {
        let mut guests = cookies.iter().filter_map(|cookie| Self::from_cookie(cookie, key));
        let first = guests.next()?;
        guests.all(|guest| guest.id == first.id).then_some(first)
    }

    /// Returns the display name: the nickname or the start of the id, after a `~`, which no
    /// account's name contains.
    pub(crate) fn name(&self) -> String {
        match &self.nickname {
            Some(nickname) => format!("~{nickname}"),
            None => format!("~{}", &self.id[..DIGITS]),
        }
    }

    /// Returns the signed cookie `name` of this guest.
    pub(crate) fn cookie(&self, name: &str, key: &Key, secure: bool) -> String {
        let nickname = self.nickname.as_ref().map_or("", Username::as_str);
        let value = format!("{}.{}", self.id, utf8_percent_encode(nickname, NON_ALPHANUMERIC));
        let mut jar = CookieJar::new();
        jar.signed_mut(key).add(Cookie::new(SIGNED, value));
        let value = jar.get(SIGNED).map(Cookie::value).unwrap_or_default();
        let signed = Cookie::build((name, value)).http_only(true).build();
        cookies::with_attributes(signed, AGE, secure).to_string()
    }

    /// Returns the guest without its nickname if that has passed to another guest: an old cookie is
    /// still validly signed.
    pub(crate) async fn known(self, store: &SharedStore) -> Result<Self, LayerError> {
        let Some(nickname) = &self.nickname else { return Ok(self) };
        let whose = store.get(&nick_key(&nickname.skeleton())).await?;
        Ok(if whose.as_deref() == Some(&self.id) { self } else { Self { nickname: None, ..self } })
    }

    /// Reserves a nickname for the guest; returns whether it was free. [`set_nickname`] follows.
    ///
    /// [`set_nickname`]: Self::set_nickname
    pub(crate) async fn reserve(
        &self,
        store: &SharedStore,
        nickname: Option<&Username>,
    ) -> Result<bool, LayerError> {
        if let Some(nickname) = nickname {
            let skeleton = nickname.skeleton();
            let key = nick_key(&skeleton);
            if looks_like_an_id(nickname)
                || nickname.is_reserved()
                || store.get(&format!("user:{skeleton}")).await?.is_some()
            {
                return Ok(false);
            }
            if !store.create(&key, &self.id, Some(AGE)).await?
                && store.get(&key).await?.as_deref() != Some(&self.id)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the guest a reserved nickname, and ends its right to the one before.
    pub(crate) async fn set_nickname(
        self,
        rights: &RightsChange<'_>,
        nickname: Option<Username>,
    ) -> Result<Self, LayerError> {
        if let Some(before) = &self.nickname
            && nickname.as_ref().map(Username::skeleton) != Some(before.skeleton())
        {
            // Unless it has expired meanwhile and passed to another guest.
            let key = nick_key(&before.skeleton());
            let is_own = Guard::Record { key: &key, value: Some(&self.id) };
            rights.write(&[is_own], &[Change::Delete { key: &key }]).await?;
        }
        Ok(Self { nickname, ..self })
    }
}

/// Returns whether the nickname could be taken for the name of a guest without one.
fn looks_like_an_id(name: &Username) -> bool {
    let digits = Username::parse("0123456789abcdef").map(|digits| digits.skeleton()).unwrap_or_default();
    let skeleton = name.skeleton();
    skeleton.chars().count() == DIGITS && skeleton.chars().all(|sign| digits.contains(sign))
}

/// Returns whether this guest is banned.
pub(crate) async fn is_banned(store: &SharedStore, id: &str) -> Result<bool, LayerError> {
    Ok(store.get(&ban_key(id)).await?.is_some())
}

/// Returns whether this guest still has this display name: its nickname may have passed to another
/// guest.
pub(crate) async fn has_name(store: &SharedStore, id: &str, name: &str) -> Result<bool, LayerError> {
    let nickname = name.strip_prefix('~').and_then(Username::parse);
    let guest =
        Guest { id: id.to_owned(), nickname: nickname.filter(|nickname| !looks_like_an_id(nickname)) };
    Ok(guest.known(store).await?.name() == name)
}

/// Bans a guest, or lifts the ban.
pub(crate) async fn set_banned(
    rights: &RightsChange<'_>,
    id: &str,
    banned: bool,
) -> Result<Option<()>, LayerError> {
    let key = ban_key(id);
    let changes = if banned {
        [Change::Put { key: &key, value: "1" }, Change::Add { index: BANS, name: id, rank: now() }]
    } else {
        [Change::Delete { key: &key }, Change::Remove { index: BANS, name: id }]
    };
    rights.write(&[], &changes).await
}

/// Bans guests with an account: they are its browsers. A ban of their own stays.
pub(crate) async fn ban_with(
    rights: &RightsChange<'_>,
    ids: &[String],
    account: &str,
) -> Result<Option<()>, LayerError> {
    let index = bans_with(account);
    let keys: Vec<String> = ids.iter().map(|id| ban_key(id)).collect();
    loop {
        let bans = rights.store().get_all(&keys).await?;
        let free = || keys.iter().zip(&bans).filter(|(_, ban)| ban.is_none()).map(|(key, _)| key);
        let are_free: Vec<Guard<'_>> = free().map(|key| Guard::Record { key, value: None }).collect();
        let listed = ids.iter().map(|name| Change::Add { index: &index, name, rank: now() });
        let banned = free().map(|key| Change::Put { key, value: account });
        let changes: Vec<Change<'_>> = listed.chain(banned).collect();
        if rights.write(&are_free, &changes).await?.is_some() {
            return Ok(Some(()));
        }
    }
}

/// Lifts the bans of guests that were banned with this account.
pub(crate) async fn unban_with(store: &SharedStore, account: &str) -> Result<(), LayerError> {
    let index = bans_with(account);
    let ids = store.top(&index, MAX_BANS_WITH_ACCOUNT).await?;
    let keys: Vec<String> = ids.iter().map(|(id, _)| ban_key(id)).collect();
    loop {
        let bans = store.get_all(&keys).await?;
        let own = || keys.iter().zip(&bans).filter(|(_, ban)| ban.as_deref() == Some(account));
        let are_own: Vec<Guard<'_>> =
            own().map(|(key, _)| Guard::Record { key, value: Some(account) }).collect();
        let lifted = own().map(|(key, _)| Change::Delete { key });
        let unlisted = ids.iter().map(|(name, _)| Change::Remove { index: &index, name });
        let changes: Vec<Change<'_>> = lifted.chain(unlisted).collect();
        if store.step(&are_own, &changes).await?.is_none() {
            return Ok(());
        }
    }
}

/// Returns the ids of banned guests, the latest ban first.
pub(crate) async fn banned(store: &SharedStore, limit: usize) -> Result<Vec<String>, LayerError> {
    Ok(store.top(BANS, limit).await?.into_iter().map(|(id, _)| id).collect())
}

/// Returns the id of the guest with this nickname.
pub(crate) async fn called(store: &SharedStore, nickname: &str) -> Result<Option<String>, LayerError> {
    match Username::parse(nickname) {
        Some(nickname) => store.get(&nick_key(&nickname.skeleton())).await,
        None => Ok(None),
    }
}

fn bans_with(account: &str) -> String {
    format!("bans_with:{account}")
}

fn nick_key(skeleton: &str) -> String {
    format!("nick:{skeleton}")
}

fn ban_key(id: &str) -> String {
    format!("ban:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_cookie_is_valid_only_under_the_key_that_signed_it() {
        let key = Key::derive_from(b"a secret of more than thirty-two bytes");
        let mut guest = Guest::new();
        for nickname in [None, Username::parse("聊.天-x")] {
            guest.nickname = nickname;
            let set = guest.cookie("a", &key, true);
            let value = set.split_once('=').and_then(|(_, rest)| rest.split(';').next()).expect("a value");
            assert!(value.is_ascii() && set.contains("HttpOnly") && set.contains("Secure"), "{set}");
            assert_eq!(Guest::from_cookie(value, &key), Some(guest.clone()));
            let other = Key::derive_from(b"another secret of more than 32 bytes..");
            assert_eq!(Guest::from_cookie(value, &other), None);
            let forged = value.replace(&guest.id, &"0".repeat(16));
            assert_eq!(Guest::from_cookie(&forged, &key), None);
        }
        assert_eq!(Guest::from_cookie("", &key), None);
        assert_eq!(Guest::from_cookie(&format!("{}.", guest.id), &key), None);
    }
}
