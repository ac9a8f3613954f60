//! The authenticator: the store, the keys and the settings that identify a client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cookie::Key as CookieKey;
use parking_lot::Mutex;
use tracing::warn;

use crate::auth::cookie_names::CookieNames;
use crate::auth::jwt::Verifier;
use crate::auth::shared_secret::SharedSecret;
use crate::layer::{Change, Guard, Layer, LayerError, SharedStore, Store};

/// The record of the secret that all nodes share.
const SECRET: &str = "secret";
/// Time in which all nodes compare their secret with a new one, and put theirs back.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// What authentication needs: the store, the keys, the settings.
pub(crate) struct Authenticator {
    layer: Arc<Layer>,
    tokens: Option<Verifier>,
    cookies: CookieNames,
    /// The key of the settings, if they have one.
    own_key: Option<Arc<CookieKey>>,
    /// The key that all nodes share.
    shared_key: Mutex<Option<SharedKey>>,
    session_ttl: Duration,
}

struct SharedKey {
    secret: SharedSecret,
    key: Arc<CookieKey>,
    /// When this node took the secret, if it was new: another node may have an older one.
    taken_at: Option<Instant>,
}

impl Authenticator {
    pub(crate) fn new(
        layer: Arc<Layer>,
        tokens: Option<Verifier>,
        cookies: CookieNames,
        key: Option<CookieKey>,
        session_ttl: Duration,
    ) -> Self {
        Self { layer, tokens, cookies, own_key: key.map(Arc::new), shared_key: Mutex::default(), session_ttl }
    }

    pub(crate) fn store(&self) -> &SharedStore {
        self.layer.store()
    }

    pub(crate) fn tokens(&self) -> Option<&Verifier> {
        self.tokens.as_ref()
    }

    pub(crate) fn cookies(&self) -> &CookieNames {
        &self.cookies
    }

    /// Returns how long an unused login remains valid.
    pub(crate) fn session_ttl(&self) -> Duration {
        self.session_ttl
    }

    /// Returns the key that signs guests' cookies: from the settings, or from the store, where the
    /// first node puts one for all nodes.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn key(&self) -> Result<Arc<CookieKey>, LayerError> {
        match self.known_key() {
            Some(key) => Ok(key),
            None => self.compare_key().await,
        }
    }

    /// Compares the key with the one that all nodes share: puts its own secret back if the store
    /// has lost it or has a younger one, and takes an older one. Returns the key.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn compare_key(&self) -> Result<Arc<CookieKey>, LayerError> {
        if let Some(key) = &self.own_key {
            return Ok(Arc::clone(key));
        }
        let known = self.shared_key.lock().as_ref().map(|shared| shared.secret.clone());
        let secret = loop {
            let stored = self.store().get(SECRET).await?;
            if let Some(stored) = &stored {
                let stored = SharedSecret::parse(stored.clone())
                    .ok_or_else(|| LayerError::corrupt_record(SECRET, "shorter than a secret"))?;
                if known.as_ref().is_none_or(|known| !known.is_older_than(&stored)) {
                    break stored;
                }
            }
            let secret = known.clone().unwrap_or_else(SharedSecret::new);
            let guard = Guard::Record { key: SECRET, value: stored.as_deref() };
            let put = Change::Put { key: SECRET, value: secret.as_str() };
            if self.store().step(&[guard], &[put]).await?.is_none() {
                if known.is_some() {
                    warn!("the store had lost the secret of guests' cookies; this node has put it back");
                }
                break secret;
            }
        };
        let mut current = self.shared_key.lock();
        match &*current {
            Some(shared) if shared.secret == secret => Ok(Arc::clone(&shared.key)),
            before => {
                if before.is_some() {
                    warn!(
                        "another node has an older secret of guests' cookies: guests with cookies of this \
                         node's are new users; a secret in the settings prevents it"
                    );
                }
                let key = Arc::new(secret.key());
                let is_shared = matches!(&*self.layer, Layer::Redis(_));
                let taken_at = (is_shared && secret.is_new()).then(Instant::now);
                *current = Some(SharedKey { secret, key: Arc::clone(&key), taken_at });
                Ok(key)
            }
        }
    }

    /// Returns an error while another node may have an older secret, which this node takes then: a
    /// cookie that its own secret has not signed may be signed with that one.
    ///
    /// # Errors
    /// Returns [`LayerError`] shortly after this node has taken a new secret.
    pub(crate) fn check_settled(&self) -> Result<(), LayerError> {
        let taken_at = self.shared_key.lock().as_ref().and_then(|shared| shared.taken_at);
        match taken_at {
            Some(taken_at) if taken_at.elapsed() < SETTLE_TIME => {
                Err(LayerError::Unreachable("the nodes are agreeing on a secret".into()))
            }
            _ => Ok(()),
        }
    }

    /// Returns the key that signs guests' cookies, if it is loaded already.
    pub(crate) fn known_key(&self) -> Option<Arc<CookieKey>> {
        let shared = || self.shared_key.lock().as_ref().map(|shared| Arc::clone(&shared.key));
        self.own_key.clone().or_else(shared)
    }
}
