//! Revalidation: looks up the clients of open sockets again.
//!
//! Changes reach every node at once, as a disconnect command. This module covers identities that
//! expire, and changes during a time in which the node was disconnected from the layer.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::debug;

use crate::auth::accounts::Accounts;
use crate::auth::api_keys::ApiKeys;
use crate::auth::identity::{Identity, Role};
use crate::auth::{guests, sessions};
use crate::http::context::Context;
use crate::layer::Disconnect;
use crate::layer::LayerError;
use crate::realtime::socket::Socket;
use crate::telemetry::Chain;
use crate::wire::close::{Close, CloseCode};
use crate::wire::time::now;

/// Looks up the clients of these sockets, and closes the sockets whose clients may not stay.
pub(crate) async fn run(context: &Context, due: Vec<Arc<Socket>>) {
    // A client with many sockets is looked up once.
    let mut verdicts: HashMap<Arc<str>, Option<Close>> = HashMap::new();
    for socket in due {
        let identity = socket.identity();
        // Each token of a user expires at its own time.
        let of_token = identity.expires_at().map(|time| format!("{time} {}", identity.member()).into());
        let of_login = || identity.login().map_or_else(|| Arc::clone(identity.member()), Into::into);
        let key: Arc<str> = of_token.unwrap_or_else(of_login);
        let verdict = match verdicts.get(&key) {
            Some(verdict) => verdict.clone(),
            None => match verdict(context, identity).await {
                Ok(verdict) => verdict,
                // A corrupt record must not keep the node from looking up the other clients.
                Err(error) if !error.is_retryable() => {
                    Some(Close::new(CloseCode::InternalError, "the identity is corrupt"))
                }
                Err(error) => {
                    // No socket is closed because the layer is unreachable: the next second tries
                    // again.
                    debug!(error = %Chain(&error), "could not look up who a client is");
                    return;
                }
            },
        };
        match &verdict {
            Some(close) => socket.close(close),
            None => socket.set_known_until(context.seconds_after(identity.valid_for())),
        }
        verdicts.insert(key, verdict);
    }
}

/// Returns how to close the sockets of this client; `None` if it may stay.
async fn verdict(context: &Context, identity: &Identity) -> Result<Option<Close>, LayerError> {
    let (gone, banned) = (Close::from(CloseCode::LoginEnded), Close::new(CloseCode::Forbidden, "banned"));
    let store = context.store();
    let account = match (identity.role(), identity.login()) {
        (Role::Anonymous, _) => return Ok(None),
        (Role::Key, _) => {
            let key = (ApiKeys { store }).find_by_id(identity.id()).await?;
            return Ok(key.is_none().then(|| Disconnect::revocation(identity.id()).close()));
        }
        (Role::Guest, _) => {
            return Ok(guests::is_banned(store, identity.id()).await?.then_some(banned));
        }
        // A token expires and cannot be renewed.
        (_, None) if identity.expires_at().is_some_and(|time| time <= now()) => return Ok(Some(gone)),
        (_, None) => (Accounts { store }).find_by_id(identity.id()).await?,
        (_, Some(hash)) => sessions::find(store, hash, context.session_ttl()).await?,
    };
    Ok(match account {
        None => Some(gone),
        Some(account) if account.banned => Some(banned),
        Some(account) if account.staff != identity.is_staff() => Some(CloseCode::ServiceRestart.into()),
        Some(_) => None,
    })
}
