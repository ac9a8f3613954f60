//! Identities: who the client of a request is.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tracing::warn;

use crate::auth::accounts::{Account, Accounts};
use crate::auth::api_keys::ApiKeys;
use crate::auth::authenticator::Authenticator;
use crate::auth::credentials::Credentials;
use crate::auth::error::AuthError;
use crate::auth::guests::Guest;
use crate::auth::jwt::TokenError;
use crate::auth::tickets::Ticket;
use crate::auth::{api_keys, credentials, guests, secret, sessions};
use crate::layer::IdempotencyKey;
use crate::telemetry::{LimitReason, LogThrottles, METRICS};
use crate::wire::cookies;
use crate::wire::event::Event;
use crate::wire::time::{millis, now};

/// How often an open socket's login is checked again.
const LOGIN_RECHECK_INTERVAL: Duration = Duration::from_mins(30);

/// How long after its end a token may still be replaced, where it can be.
pub(crate) const REFRESH_GRACE: Duration = Duration::from_secs(25);

/// What is before the `sub` of a user of another site that could be taken for an id.
const SUBJECT_PREFIX: &str = "sub:";

/// An authenticated client.
#[derive(Debug)]
pub struct Identity {
    /// The id and the name, joined by a slash, which neither contains.
    member: Arc<str>,
    role: Role,
    pub(crate) details: Option<Box<IdentityDetails>>,
    /// The time at which it expires, in milliseconds since 1970; 0 for never. A client with a
    /// token may renew it.
    expires_at: AtomicU64,
}

/// Details that few clients have.
#[derive(Debug, Default)]
pub(crate) struct IdentityDetails {
    /// The key of the account.
    pub(crate) user: Box<str>,
    /// The subject of a user of another site.
    subject: Option<Box<str>>,
    /// The hash of the login's secret.
    pub(crate) login: Option<String>,
    /// The scopes of an API key.
    scopes: Box<[String]>,
    /// The channels that its token names.
    channels: BTreeSet<String>,
    /// What its token has other clients know of it. Another token may replace it.
    info: Mutex<Option<Arc<str>>>,
    /// The client can replace its token.
    is_renewable: bool,
}

// What the allocator takes for one of 120 bytes.
const _: () = assert!(size_of::<IdentityDetails>() <= 128);

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
    fn new(
        id: &str,
        name: &str,
        role: Role,
        details: Option<IdentityDetails>,
        expires_at: Option<u64>,
    ) -> Self {
        let member = [id, "/", name].concat().into();
        let expires_at = AtomicU64::new(expires_at.unwrap_or_default());
        Self { member, role, details: details.map(Box::new), expires_at }
    }

    /// Creates an anonymous client with a new id.
    pub(crate) fn anonymous() -> Self {
        let guest = Guest::new();
        Self::new(&guest.id, &guest.name(), Role::Anonymous, None, None)
    }

    fn guest(guest: &Guest) -> Self {
        Self::new(&guest.id, &guest.name(), Role::Guest, None, None)
    }

    fn account(account: &Account, login: Option<String>, expires_at: Option<u64>) -> Self {
        let role = if account.staff { Role::Staff } else { Role::User };
        let subject = account.sub().map(|sub| Box::from(&*subject_of(sub)));
        let user = account.key().into();
        let details = IdentityDetails { user, subject, login, ..IdentityDetails::default() };
        Self::new(&account.id, &account.name, role, Some(details), expires_at)
    }

    /// Returns the client that a user with this account is, as far as rights in channels go.
    pub fn of_account(account: &Account) -> Self {
        Self::account(account, None, None)
    }

    /// Returns the public id: 16 hexadecimal digits, stable across requests unless the client is
    /// anonymous.
    pub fn id(&self) -> &str {
        self.member.split_once('/').map_or("", |(id, _)| id)
    }

    /// Returns the id; `None` for anonymous clients, whose id is new for each request.
    pub(crate) fn known_id(&self) -> Option<&str> {
        (self.role != Role::Anonymous).then(|| self.id())
    }

    /// Returns the display name: `alice`, `~bob` for a guest, `#billing` for an API key. No
    /// account's name begins with `~` or `#`. Only the id identifies a user.
    pub fn name(&self) -> &str {
        self.member.split_once('/').map_or("", |(_, name)| name)
    }

    /// Returns what other programs know the client by: its id, or of a user of another site the
    /// `sub` of its tokens. A `sub` that could be the id of another client has `sub:` before it,
    /// and so has one that begins with `sub:`.
    pub fn subject(&self) -> &str {
        self.outside_subject().unwrap_or_else(|| self.id())
    }

    fn outside_subject(&self) -> Option<&str> {
        self.details.as_ref()?.subject.as_deref()
    }

    /// Returns whether a token with this `sub` is for this client.
    pub(crate) fn is_subject(&self, sub: &str) -> bool {
        self.outside_subject().map_or_else(|| self.id() == sub, |subject| subject == subject_of(sub))
    }

    /// Returns the member of a group that the client is: `<id>/<name>`.
    pub fn member(&self) -> &Arc<str> {
        &self.member
    }

    /// Returns the kind of the client.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns whether the client has an account.
    pub fn is_user(&self) -> bool {
        self.role >= Role::User
    }

    /// Returns whether the client operates this site.
    pub fn is_staff(&self) -> bool {
        self.role == Role::Staff
    }

    /// Returns whether the client is an API key with this scope.
    pub fn may(&self, scope: &str) -> bool {
        self.role == Role::Key
            && self.details.as_ref().is_some_and(|details| details.scopes.iter().any(|has| has == scope))
    }

    /// Returns the channels that its token names, which the server joins for it.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.details.iter().flat_map(|details| &details.channels).map(String::as_str)
    }

    /// Returns what its token has other clients know of it: JSON.
    pub fn info(&self) -> Option<Arc<str>> {
        self.details.as_ref()?.info.lock().clone()
    }

    /// Replaces what other clients learn of it, from now on.
    pub(crate) fn set_info(&self, info: Arc<str>) {
        if let Some(details) = &self.details {
            *details.info.lock() = Some(info);
        }
    }

    /// Returns the hash of the login's secret.
    pub(crate) fn login(&self) -> Option<&str> {
        self.details.as_ref()?.login.as_deref()
    }

    /// Returns the time at which it expires, in milliseconds since 1970.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        Some(self.expires_at.load(Ordering::Relaxed)).filter(|time| *time > 0)
    }

    /// Lets the client replace its token, until [`REFRESH_GRACE`] after its end.
    pub(crate) fn renewable(mut self) -> Self {
        self.details.get_or_insert_default().is_renewable = true;
        self
    }

    /// Returns whether its token has ended and cannot be replaced any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ends_at().is_some_and(|time| time <= now())
    }

    /// Returns the time from which on it is not valid, in milliseconds since 1970.
    fn ends_at(&self) -> Option<u64> {
        let is_renewable = self.details.as_ref().is_some_and(|details| details.is_renewable);
        let grace = if is_renewable { millis(REFRESH_GRACE) } else { 0 };
        self.expires_at().map(|time| time.saturating_add(grace))
    }

    /// Replaces the time at which it expires.
    pub(crate) fn renew(&self, expires_at: Option<u64>) {
        self.expires_at.store(expires_at.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Returns how long the client may use its token from now on; `None` for ever.
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_at().map(|time| Duration::from_millis(time.saturating_sub(now())))
    }

    /// Returns how long an open socket may keep this identity unchecked; `None` for ever.
    pub(crate) fn valid_for(&self) -> Option<Duration> {
        let token = self.ends_at().map(|time| Duration::from_millis(time.saturating_sub(now())));
        token.or_else(|| self.login().map(|_| LOGIN_RECHECK_INTERVAL))
    }

    /// Returns the event with this client as its sender, and its idempotency key if the client
    /// named the event. All anonymous clients share one space of keys.
    pub(crate) fn attribute(&self, event: &Event, name: Option<&str>) -> (Event, Option<IdempotencyKey>) {
        let known = self.role != Role::Anonymous;
        let name = name.map(|name| if known { [self.id(), ":", name].concat() } else { name.to_owned() });
        let key = name.map(|name| IdempotencyKey::new(name, event));
        let info = self.info();
        (event.attributed(self.id(), self.name(), self.outside_subject(), info.as_deref()), key)
    }

    /// Authenticates the client of a request, over `https` if `is_secure`. A WebSocket handshake
    /// may carry credentials in other ways.
    ///
    /// # Errors
    /// Returns an error for invalid credentials (401, on a handshake 403), for a banned user (403),
    /// and when the layer does not answer (503).
    pub(crate) async fn authenticate(
        auth: &Authenticator,
        parts: &Parts,
        is_secure: bool,
        socket: bool,
    ) -> Result<Self, AuthError> {
        let identity = match credentials::shown(parts, socket) {
            Some(Credentials::Ticket(ticket)) => Self::from_ticket(auth, &ticket).await?,
            Some(Credentials::Bearer(text)) if api_keys::is_key(text) => Self::from_key(auth, text).await?,
            Some(Credentials::Bearer(text)) => match Self::from_token(auth, text).await {
                Err(AuthError::Expired | AuthError::Invalid { .. }) => None,
                identity => Some(identity?),
            },
            None => return Self::from_cookies(auth, &parts.headers, is_secure, socket).await,
        };
        identity.ok_or(AuthError::Invalid { socket })
    }

    async fn from_cookies(
        auth: &Authenticator,
        headers: &HeaderMap,
        is_secure: bool,
        socket: bool,
    ) -> Result<Self, AuthError> {
        let store = auth.store();
        // Of several valid logins none is believed: one may be of another user, set by another
        // host.
        let mut logins = SmallVec::<[(Account, String); 1]>::new();
        for secret in credentials::logins_of(headers, auth.cookies().session(is_secure)) {
            let hash = secret::hash(secret);
            let account = sessions::find(store, &hash, auth.session_ttl()).await?;
            logins.extend(account.map(|account| (account, hash)));
        }
        if let (1, Some((account, hash))) = (logins.len(), logins.pop()) {
            return admitted(&account).map(|()| Self::account(&account, Some(hash), None));
        }
        let cookies = cookies::values(headers, auth.cookies().guest(is_secure));
        if cookies.is_empty() {
            return Ok(Self::anonymous());
        }
        let Some(guest) = Guest::from_cookies(&cookies, &*auth.key().await?) else {
            auth.check_settled()?;
            return Ok(Self::anonymous());
        };
        match guests::is_banned(store, &guest.id).await {
            Ok(true) => Err(banned()),
            // Without the layer there are no messages, but pages still work.
            Err(away) if away.is_retryable() && !socket => Ok(Self::guest(&guest)),
            Err(away) => Err(away.into()),
            Ok(false) => Ok(Self::guest(&guest.known(store).await?)),
        }
    }

    async fn from_key(auth: &Authenticator, text: &str) -> Result<Option<Self>, AuthError> {
        let Some(key) = (ApiKeys { store: auth.store() }).find(text).await? else { return Ok(None) };
        let details = IdentityDetails { scopes: key.scopes.into(), ..IdentityDetails::default() };
        Ok(Some(Self::new(&key.id, &format!("#{}", key.name), Role::Key, Some(details), None)))
    }

    /// Authenticates the bearer of a token.
    ///
    /// # Errors
    /// Returns an error for a token that has expired or is invalid, for a banned user, and when the
    /// layer does not answer.
    pub(crate) async fn from_token(auth: &Authenticator, text: &str) -> Result<Self, AuthError> {
        const INVALID: AuthError = AuthError::Invalid { socket: true };
        let claims = auth.tokens().ok_or(INVALID)?.verify(text).map_err(|error| {
            count_refusal(error);
            if error == TokenError::Expired { AuthError::Expired } else { INVALID }
        })?;
        let accounts = Accounts { store: auth.store() };
        let account = accounts.provisioned_from_token(&claims).await?;
        admitted(&account)?;
        let mut identity = Self::account(&account, None, claims.exp.map(|time| time.saturating_mul(1000)));
        let details = identity.details.get_or_insert_default();
        details.channels = claims.channels;
        details.info = Mutex::new(claims.info);
        Ok(identity)
    }

    async fn from_ticket(auth: &Authenticator, text: &str) -> Result<Option<Self>, AuthError> {
        let Some(ticket) = Ticket::take(auth.store(), text).await? else { return Ok(None) };
        let account = match &ticket.login {
            // A ticket ends with the login that it came from.
            Some(login) => sessions::find(auth.store(), login, auth.session_ttl()).await?,
            None => (Accounts { store: auth.store() }).at(&ticket.user).await?,
        };
        let Some(account) = account else { return Ok(None) };
        admitted(&account)?;
        Ok(Some(Self::account(&account, ticket.login, ticket.expires_at)))
    }
}

/// Returns the subject of the user of another site with this `sub`; see [`Identity::subject`].
fn subject_of(sub: &str) -> Cow<'_, str> {
    let is_ambiguous = secret::is_user_id(sub) || sub.starts_with(SUBJECT_PREFIX);
    if is_ambiguous { Cow::Owned([SUBJECT_PREFIX, sub].concat()) } else { Cow::Borrowed(sub) }
}

/// Returns the `sub` of the user of another site with this subject; `None` if none could have it.
pub(crate) fn sub_of(subject: &str) -> Option<&str> {
    let sub = subject.strip_prefix(SUBJECT_PREFIX).unwrap_or(subject);
    (subject_of(sub) == subject).then_some(sub)
}

/// Counts a token that is not valid, and logs why, without any of it.
fn count_refusal(error: TokenError) {
    static THROTTLES: LogThrottles<TokenError> = LogThrottles::new();
    METRICS.refused(LimitReason::Tokens);
    if let Some(left_out) = THROTTLES.pass(error) {
        warn!(%error, left_out, "refused a token (each reason logged once a minute)");
    }
}

fn admitted(account: &Account) -> Result<(), AuthError> {
    if account.banned { Err(banned()) } else { Ok(()) }
}

fn banned() -> AuthError {
    AuthError::Banned
}
