//! Authentication: identifies the client of each request before its handler runs.
//!
//! A token, an API key or a ticket identifies the client or fails the request. Without one, cookies
//! identify an account or a guest. A client without valid cookies is anonymous, with a new id for
//! each request.

pub(crate) mod audit;

pub(crate) mod accounts;
pub(crate) mod api_keys;
pub(crate) mod guests;
pub(crate) mod jwt;
mod passwords;
pub mod secret;
pub(crate) mod sessions;
pub(crate) mod tickets;
pub(crate) mod usernames;

use cookie::Key as CookieKey;
use once_cell::sync::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use hyper::http::request::Parts;

use crate::auth::accounts::{Account, Accounts};
use crate::auth::api_keys::ApiKeys;
use crate::auth::guests::Guest;
use crate::auth::jwt::Verifier;
use crate::auth::passwords::Busy;
use crate::auth::tickets::Ticket;
use crate::layer::IdempotencyKey;
use crate::layer::LayerError;
use crate::layer::{Layer, SharedStore, Store};
use crate::wire::event::Event;
use crate::wire::headers;
use crate::wire::time::now;

/// The prefix of a subprotocol that carries a token: browsers cannot set headers on a handshake.
const TOKEN_PROTOCOL: &str = "parlor.token.";
/// How often an open socket's login is checked again.
const LOGIN_RECHECK_INTERVAL: Duration = Duration::from_mins(30);

/// Why authentication failed.
#[derive(Debug)]
pub(crate) enum AuthError {
    /// The credentials are invalid. The status differs for WebSocket handshakes.
    Invalid {
        /// Whether the request is a WebSocket handshake.
        socket: bool,
    },
    /// An operator has banned the user.
    Banned,
    /// The layer does not answer.
    Unavailable(LayerError),
    /// Too many passwords are being checked.
    Busy,
}

impl From<Busy> for AuthError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<LayerError> for AuthError {
    fn from(away: LayerError) -> Self {
        Self::Unavailable(away)
    }
}

/// What authentication needs: the store, the keys, the settings.
pub(crate) struct Auth {
    layer: Arc<Layer>,
    tokens: Option<Verifier>,
    key: OnceCell<CookieKey>,
    login_lasts: Duration,
}

impl Auth {
    pub(crate) fn new(
        layer: Arc<Layer>,
        tokens: Option<Verifier>,
        key: Option<CookieKey>,
        login_lasts: Duration,
    ) -> Self {
        Self { layer, tokens, key: key.map_or_else(OnceCell::new, OnceCell::with_value), login_lasts }
    }

    pub(crate) fn store(&self) -> &SharedStore {
        self.layer.store()
    }

    pub(crate) fn tokens(&self) -> Option<&Verifier> {
        self.tokens.as_ref()
    }

    /// Returns how long an unused login remains valid.
    pub(crate) fn login_lasts(&self) -> Duration {
        self.login_lasts
    }

    /// Returns the key that signs guests' cookies: from the settings, or from the store, where the
    /// first node puts one for all nodes.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn key(&self) -> Result<&CookieKey, LayerError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let store = self.store();
        store.create("secret", &secret::new(), None).await?;
        let shared =
            store.get("secret").await?.ok_or_else(|| LayerError::corrupt_record("secret", "missing"))?;
        Ok(self.key.get_or_init(|| CookieKey::derive_from(shared.as_bytes())))
    }

    /// Returns the key that signs guests' cookies, if it is loaded already.
    pub(crate) fn known_key(&self) -> Option<&CookieKey> {
        self.key.get()
    }
}

/// An authenticated client.
#[derive(Debug)]
pub struct Identity {
    /// The id and the name, joined by a slash, which neither contains.
    member: Arc<str>,
    standing: Role,
    pub(crate) facts: Option<Box<IdentityDetails>>,
    /// The time at which it expires, in milliseconds since 1970.
    ends: Option<u64>,
}

/// Details that few clients have.
#[derive(Debug, Default)]
pub(crate) struct IdentityDetails {
    /// The skeleton of the account's name.
    pub(crate) user: String,
    /// The hash of the login's secret.
    pub(crate) login: Option<String>,
    /// The scopes of an API key.
    scopes: Vec<String>,
}

/// The kind of a client, in ascending order of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A client without credentials, with a new id for each request.
    Anonymous,
    /// A browser with a guest's cookie.
    Guest,
    /// A program with an API key.
    Key,
    /// A user with an account.
    User,
    /// A user whose account operates this site.
    Staff,
}

impl Identity {
    fn new(id: &str, name: &str, standing: Role, facts: Option<IdentityDetails>, ends: Option<u64>) -> Self {
        let member = [id, "/", name].concat().into();
        Self { member, standing, facts: facts.map(Box::new), ends }
    }

    /// Creates an anonymous client with a new id.
    pub(crate) fn anonymous() -> Self {
        let guest = Guest::new();
        Self::new(&guest.id, &guest.name(), Role::Anonymous, None, None)
    }

    fn guest(guest: &Guest) -> Self {
        Self::new(&guest.id, &guest.name(), Role::Guest, None, None)
    }

    fn account(account: &Account, login: Option<String>, ends: Option<u64>) -> Self {
        let standing = if account.staff { Role::Staff } else { Role::User };
        let user = crate::auth::usernames::Username::parse(&account.name)
            .map(|name| name.skeleton())
            .unwrap_or_default();
        let facts = IdentityDetails { user, login, scopes: Vec::new() };
        Self::new(&account.id, &account.name, standing, Some(facts), ends)
    }

    /// Returns the public id: 16 hexadecimal digits, stable across requests unless the client is
    /// anonymous.
    pub fn id(&self) -> &str {
        self.member.split_once('/').map_or("", |(id, _)| id)
    }

    /// Returns the id; `None` for anonymous clients, whose id is new for each request.
    pub(crate) fn known_id(&self) -> Option<&str> {
        (self.standing != Role::Anonymous).then(|| self.id())
    }

    /// Returns the display name: `alice`, `~bob` for a guest, `#billing` for an API key. No
    /// account's name contains `~` or `#`.
    pub fn name(&self) -> &str {
        self.member.split_once('/').map_or("", |(_, name)| name)
    }

    /// Returns the member of a group that the client is: `<id>/<name>`.
    pub fn member(&self) -> &Arc<str> {
        &self.member
    }

    /// Returns the kind of the client.
    pub fn standing(&self) -> Role {
        self.standing
    }

    /// Returns whether the client has an account.
    pub fn is_user(&self) -> bool {
        self.standing >= Role::User
    }

    /// Returns whether the client operates this site.
    pub fn is_staff(&self) -> bool {
        self.standing == Role::Staff
    }

    /// Returns whether the client is an API key with this scope.
    pub fn may(&self, scope: &str) -> bool {
        self.standing == Role::Key
            && self.facts.as_ref().is_some_and(|facts| facts.scopes.iter().any(|has| has == scope))
    }

    /// Returns the hash of the login's secret.
    pub(crate) fn login(&self) -> Option<&str> {
        self.facts.as_ref()?.login.as_deref()
    }

    /// Returns the time at which it expires, in milliseconds since 1970.
    pub(crate) fn ends(&self) -> Option<u64> {
        self.ends
    }

    /// Returns how long an open socket may keep this identity unchecked; `None` for ever.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        let ends = self.ends.map(|ends| Duration::from_millis(ends.saturating_sub(now())));
        ends.or_else(|| self.login().map(|_| LOGIN_RECHECK_INTERVAL))
    }

    /// Returns the event with this client as its sender, and its idempotency key if the client
    /// named the event. All anonymous clients share one space of keys.
    pub(crate) fn attribute(&self, event: &Event, name: Option<&str>) -> (Event, Option<IdempotencyKey>) {
        let known = self.standing != Role::Anonymous;
        let name = name.map(|name| if known { [self.id(), ":", name].concat() } else { name.to_owned() });
        let key = name.map(|name| IdempotencyKey::new(name, event));
        (event.signed(self.id(), self.name()), key)
    }

    /// Authenticates the client of a request. A WebSocket handshake may carry credentials in other
    /// ways.
    ///
    /// # Errors
    /// Returns an error for invalid credentials (401, on a handshake 403), for a banned user (403),
    /// and when the layer does not answer (503).
    pub(crate) async fn of(auth: &Auth, parts: &Parts, socket: bool) -> Result<Self, AuthError> {
        let identity = match shown(parts, socket) {
            Some(Credentials::Ticket(ticket)) => Self::of_ticket(auth, &ticket).await?,
            Some(Credentials::Bearer(text)) if crate::auth::api_keys::is_key(text) => {
                Self::of_key(auth, text).await?
            }
            Some(Credentials::Bearer(text)) => Self::of_token(auth, text).await?,
            None => return Self::of_cookies(auth, &parts.headers, socket).await,
        };
        identity.ok_or(AuthError::Invalid { socket })
    }

    async fn of_cookies(auth: &Auth, headers: &HeaderMap, socket: bool) -> Result<Self, AuthError> {
        let store = auth.store();
        if let Some(hash) = login_of(headers)
            && let Some(account) = crate::auth::sessions::find(store, &hash, auth.login_lasts()).await?
        {
            return admitted(&account).map(|()| Self::account(&account, Some(hash), None));
        }
        let Some(cookie) = headers::cookie(headers, crate::auth::guests::COOKIE) else {
            return Ok(Self::anonymous());
        };
        match Guest::of(cookie, auth.key().await?) {
            Some(guest) => match crate::auth::guests::is_banned(store, &guest.id).await {
                Ok(true) => Err(banned()),
                // Without the layer there are no messages, but pages still work.
                Err(_) if !socket => Ok(Self::guest(&guest)),
                Err(away) => Err(away.into()),
                Ok(false) => Ok(Self::guest(&guest.known(store).await?)),
            },
            None => Ok(Self::anonymous()),
        }
    }

    async fn of_key(auth: &Auth, text: &str) -> Result<Option<Self>, AuthError> {
        let Some(key) = (ApiKeys { store: auth.store() }).find(text).await? else { return Ok(None) };
        let facts = IdentityDetails { scopes: key.scopes, ..IdentityDetails::default() };
        Ok(Some(Self::new(&key.id, &format!("#{}", key.name), Role::Key, Some(facts), None)))
    }

    async fn of_token(auth: &Auth, text: &str) -> Result<Option<Self>, AuthError> {
        let Some(claims) = auth.tokens().and_then(|tokens| tokens.verify(text).ok()) else { return Ok(None) };
        let accounts = Accounts { store: auth.store() };
        let Some(account) = accounts.provisioned_from_token(&claims.sub).await? else { return Ok(None) };
        admitted(&account)?;
        Ok(Some(Self::account(&account, None, Some(claims.exp.saturating_mul(1000)))))
    }

    async fn of_ticket(auth: &Auth, text: &str) -> Result<Option<Self>, AuthError> {
        let Some(ticket) = Ticket::take(auth.store(), text).await? else { return Ok(None) };
        let account = match &ticket.login {
            // A ticket ends with the login that it came from.
            Some(login) => crate::auth::sessions::find(auth.store(), login, auth.login_lasts()).await?,
            None => (Accounts { store: auth.store() }).at(&ticket.user).await?,
        };
        let Some(account) = account else { return Ok(None) };
        admitted(&account)?;
        Ok(Some(Self::account(&account, ticket.login, ticket.ends)))
    }
}

/// Credentials beside cookies.
enum Credentials<'a> {
    Bearer(&'a str),
    Ticket(String),
}

fn shown(parts: &Parts, socket: bool) -> Option<Credentials<'_>> {
    if parts.headers.contains_key(AUTHORIZATION) {
        // Any `Authorization` header replaces cookies. Two of them are invalid: a proxy may trust
        // the other one.
        let text = headers::single(&parts.headers, &AUTHORIZATION).unwrap_or_default();
        let (scheme, token) = text.split_once(' ').unwrap_or_default();
        return Some(Credentials::Bearer(if scheme.eq_ignore_ascii_case("bearer") {
            token.trim()
        } else {
            ""
        }));
    }
    if !socket {
        return None;
    }
    let offers = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let mut offers = offers.flat_map(|line| line.split(','));
    let token = offers.find_map(|offer| offer.trim().strip_prefix(TOKEN_PROTOCOL));
    token.map(Credentials::Bearer).or_else(|| headers::query(&parts.uri, "ticket").map(Credentials::Ticket))
}

/// Returns the hash of the login's secret in the cookies, if they have the form of one.
pub(crate) fn login_of(headers: &HeaderMap) -> Option<String> {
    headers::cookie(headers, crate::auth::sessions::COOKIE)
        .filter(|secret| secret::is_one(secret))
        .map(secret::hash)
}

fn admitted(account: &Account) -> Result<(), AuthError> {
    if account.banned { Err(banned()) } else { Ok(()) }
}

fn banned() -> AuthError {
    AuthError::Banned
}
