//! The authenticator: the store, the keys and the settings that identify a client.

use std::sync::Arc;
use std::time::Duration;

use cookie::Key as CookieKey;
use parking_lot::Mutex;
use tracing::warn;

use crate::auth::cookie_names::CookieNames;
use crate::auth::jwt::Verifier;
use crate::auth::secret;
use crate::layer::{Layer, LayerError, SharedStore, Store};

/// The record of the secret that all nodes share.
const SECRET: &str = "secret";
/// The shortest secret that a key can be derived from.
const MIN_SECRET_BYTES: usize = 32;

/// What authentication needs: the store, the keys, the settings.
pub(crate) struct Authenticator {
    layer: Arc<Layer>,
    tokens: Option<Verifier>,
    cookies: CookieNames,
    /// The key of the settings, if they have one.
    own_key: Option<Arc<CookieKey>>,
    /// The key that all nodes share, with its secret.
    shared_key: Mutex<Option<(String, Arc<CookieKey>)>>,
    session_ttl: Duration,
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

    /// Compares the key with the one that all nodes share: puts it back if the store has lost it,
    /// and takes the other one if another node has made one meanwhile. Returns the key.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn compare_key(&self) -> Result<Arc<CookieKey>, LayerError> {
        if let Some(key) = &self.own_key {
            return Ok(Arc::clone(key));
        }
        let known = self.shared_key.lock().as_ref().map(|(secret, _)| secret.clone());
        let store = self.store();
        let shared = loop {
            if let Some(shared) = store.get(SECRET).await? {
                break shared;
            }
            let secret = known.as_ref().map_or_else(secret::new, Clone::clone);
            if store.create(SECRET, &secret, None).await? {
                if known.is_some() {
                    warn!("the store had lost the secret of guests' cookies; this node has put it back");
                }
                break secret;
            }
        };
        if shared.len() < MIN_SECRET_BYTES {
            return Err(LayerError::corrupt_record(SECRET, "shorter than a secret"));
        }
        let mut current = self.shared_key.lock();
        match &*current {
            Some((secret, key)) if *secret == shared => Ok(Arc::clone(key)),
            before => {
                if before.is_some() {
                    warn!(
                        "another node has made a new secret of guests' cookies: guests with older \
                         cookies are new users; a secret in the settings prevents it"
                    );
                }
                let key = Arc::new(CookieKey::derive_from(shared.as_bytes()));
                *current = Some((shared, Arc::clone(&key)));
                Ok(key)
            }
        }
    }

    /// Returns the key that signs guests' cookies, if it is loaded already.
    pub(crate) fn known_key(&self) -> Option<Arc<CookieKey>> {
        let shared = || self.shared_key.lock().as_ref().map(|(_, key)| Arc::clone(key));
        self.own_key.clone().or_else(shared)
    }
}
