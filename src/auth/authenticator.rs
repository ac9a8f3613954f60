//! The authenticator: the store, the keys and the settings that identify a client.

use std::sync::Arc;
use std::time::Duration;

use cookie::Key as CookieKey;
use once_cell::sync::OnceCell;

use crate::auth::cookie_names::CookieNames;
use crate::auth::jwt::Verifier;
use crate::auth::secret;
use crate::layer::{Layer, LayerError, SharedStore, Store};

/// What authentication needs: the store, the keys, the settings.
pub(crate) struct Authenticator {
    layer: Arc<Layer>,
    tokens: Option<Verifier>,
    cookies: CookieNames,
    key: OnceCell<CookieKey>,
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
        Self {
            layer,
            tokens,
            cookies,
            key: key.map_or_else(OnceCell::new, OnceCell::with_value),
            session_ttl,
        }
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
