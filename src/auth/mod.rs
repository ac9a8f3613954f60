//! Who a client is: decided here, once for each request, before its handler.
//!
//! Whoever shows a token, a key or a ticket is known by it or not at all; else a browser's cookies tell: an account that
//! is logged in, or a guest; else it is a anonymous, somebody new each time.

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

/// A subprotocol that is none: a token, for browsers can send nothing else with a handshake.
const TOKEN_PROTOCOL: &str = "parlor.token.";
/// How often it is looked up again whether a login still lasts, while a socket is open under it.
const LOOKED_UP: Duration = Duration::from_mins(30);

/// Why a client is not who it says.
#[derive(Debug)]
pub(crate) enum AuthError {
    /// What it shows is not valid; a socket is answered otherwise than a request.
    Invalid {
        /// Whether it is to be a socket.
        socket: bool,
    },
    /// An operator keeps it out.
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

/// What it takes to know a client: the store, the keys, the settings.
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

    /// For how long a login lasts that is not used.
    pub(crate) fn login_lasts(&self) -> Duration {
        self.login_lasts
    }

    /// What signs guests' cookies: the setting, or what the first node has put into the store for all.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
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

    /// The same, if it is known yet.
    pub(crate) fn known_key(&self) -> Option<&CookieKey> {
        self.key.get()
    }
}

/// Who a client is.
#[derive(Debug)]
pub struct Identity {
    /// The id and the name with a slash between, which is in neither.
    member: Arc<str>,
    standing: Role,
    pub(crate) facts: Option<Box<IdentityDetails>>,
    /// When it ends by itself, in milliseconds since 1970.
    ends: Option<u64>,
}

/// What few clients have.
#[derive(Debug, Default)]
pub(crate) struct IdentityDetails {
    /// The skeleton of the account's name.
    pub(crate) user: String,
    /// The hash of the login's secret.
    pub(crate) login: Option<String>,
    /// What a key may do.
    scopes: Vec<String>,
}

/// What kind of client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nobody will know it again.
    Anonymous,
    /// A browser that has been here.
    Guest,
    /// Another program, with an API key.
    Key,
    /// Somebody with an account.
    User,
    /// Somebody with an account who operates this site.
    Staff,
}

impl Identity {
    fn new(id: &str, name: &str, standing: Role, facts: Option<IdentityDetails>, ends: Option<u64>) -> Self {
        let member = [id, "/", name].concat().into();
        Self { member, standing, facts: facts.map(Box::new), ends }
    }

    /// Somebody new.
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

    /// 16 hexadecimal digits, for everybody to see: the same whenever this client comes, if it is no anonymous.
    pub fn id(&self) -> &str {
        self.member.split_once('/').map_or("", |(id, _)| id)
    }

    /// Its id, unless it is a anonymous: that has another one each time.
    pub(crate) fn known_id(&self) -> Option<&str> {
        (self.standing != Role::Anonymous).then(|| self.id())
    }

    /// What it is called: `alice`; `~bob` if it is a guest, `#billing` if it is a key, which no account's name can be.
    pub fn name(&self) -> &str {
        self.member.split_once('/').map_or("", |(_, name)| name)
    }

    /// How it is known among the members of a group: `<id>/<name>`.
    pub fn member(&self) -> &Arc<str> {
        &self.member
    }

    /// What kind of client it is.
    pub fn standing(&self) -> Role {
        self.standing
    }

    /// Whether it has an account.
    pub fn is_user(&self) -> bool {
        self.standing >= Role::User
    }

    /// Whether it operates this site.
    pub fn is_staff(&self) -> bool {
        self.standing == Role::Staff
    }

    /// Whether it is a key with this scope.
    pub fn may(&self, scope: &str) -> bool {
        self.standing == Role::Key
            && self.facts.as_ref().is_some_and(|facts| facts.scopes.iter().any(|has| has == scope))
    }

    /// The hash of the login that it has.
    pub(crate) fn login(&self) -> Option<&str> {
        self.facts.as_ref()?.login.as_deref()
    }

    /// When it ends by itself, in milliseconds since 1970.
    pub(crate) fn ends(&self) -> Option<u64> {
        self.ends
    }

    /// For how long it need not be looked up again while a socket is open under it; `None`: never by itself.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        let ends = self.ends.map(|ends| Duration::from_millis(ends.saturating_sub(now())));
        ends.or_else(|| self.login().map(|_| LOOKED_UP))
    }

    /// The event as this client's, and the key under which it is known if the client has a name for it. Strangers, whom
    /// nobody will know again, share theirs.
    pub(crate) fn attribute(&self, event: &Event, name: Option<&str>) -> (Event, Option<IdempotencyKey>) {
        let known = self.standing != Role::Anonymous;
        let name = name.map(|name| if known { [self.id(), ":", name].concat() } else { name.to_owned() });
        let key = name.map(|name| IdempotencyKey::new(name, event));
        (event.signed(self.id(), self.name()), key)
    }

    /// Whoever sent this request. A socket may bring what it is known by in other ways.
    ///
    /// # Errors
    /// 401, on a socket 403, for what is shown and not right; 403 for those who were banned; 503 when the layer does not
    /// answer.
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
                // While the layer is away there is nothing to say or to hear, but pages are there.
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
            // Who logged out meanwhile has no use for it.
            Some(login) => crate::auth::sessions::find(auth.store(), login, auth.login_lasts()).await?,
            None => (Accounts { store: auth.store() }).at(&ticket.user).await?,
        };
        let Some(account) = account else { return Ok(None) };
        admitted(&account)?;
        Ok(Some(Self::account(&account, ticket.login, ticket.ends)))
    }
}

/// What a client shows beside cookies.
enum Credentials<'a> {
    Bearer(&'a str),
    Ticket(String),
}

fn shown(parts: &Parts, socket: bool) -> Option<Credentials<'_>> {
    if parts.headers.contains_key(AUTHORIZATION) {
        // Whatever it is, it is what the client wants to be known by. Two of them are nobody: a proxy may believe the other.
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

/// The hash of the login in the cookies, if there may be one.
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
