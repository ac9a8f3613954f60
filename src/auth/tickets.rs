//! Tickets: for one socket, within half a minute, so that nothing that lasts stands in an address.
//!
//! | record | what |
//! |---|---|
//! | `ticket:<hash of the ticket>` | whose it is; goes when it is used |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret;
use crate::layer::LayerError;
use crate::layer::{SharedStore, Store};

/// For how long a ticket can be used.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// Whom a ticket lets in.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// The skeleton of the account's name.
    pub(crate) user: String,
    /// The login that it came from, which ends it, too.
    pub(crate) login: Option<String>,
    /// When what it came from ends, in milliseconds since 1970.
    pub(crate) ends: Option<u64>,
}

impl Ticket {
    /// Makes a ticket; its text.
    pub(crate) async fn make(&self, store: &SharedStore) -> Result<String, LayerError> {
        let text = secret::new();
        store.write(&key(&text), self, Some(TICKET_LIFETIME)).await?;
        Ok(text)
    }

    /// Uses a ticket up.
    pub(crate) async fn take(store: &SharedStore, text: &str) -> Result<Option<Self>, LayerError> {
        if !secret::is_one(text) {
            return Ok(None);
        }
        let taken = store.take(&key(text)).await?;
        Ok(taken.and_then(|ticket| serde_json::from_str(&ticket).ok()))
    }
}

fn key(text: &str) -> String {
    format!("ticket:{}", secret::hash(text))
}
