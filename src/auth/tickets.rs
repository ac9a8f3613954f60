//! Tickets: single-use credentials for one socket, so that no lasting secret stands in a URL.
//!
//! | record | what |
//! |---|---|
//! | `ticket:<hash of the ticket>` | the identity; deleted on use |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret;
use crate::layer::LayerError;
use crate::layer::SharedStore;

/// How long a ticket is valid.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// The identity that a ticket carries.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// The skeleton of the account's name.
    pub(crate) user: String,
    /// The hash of the login that it came from. The socket ends with that login.
    pub(crate) login: Option<String>,
    /// The time at which the original credentials expire, in milliseconds since 1970.
    #[serde(rename = "ends")] // records of earlier versions have it
    pub(crate) expires_at: Option<u64>,
}

impl Ticket {
    /// Stores a new ticket and returns its text.
    pub(crate) async fn make(&self, store: &SharedStore) -> Result<String, LayerError> {
        let text = secret::new();
        store.write(&key(&text), self, Some(TICKET_LIFETIME)).await?;
        Ok(text)
    }

    /// Consumes a ticket.
    pub(crate) async fn take(store: &SharedStore, text: &str) -> Result<Option<Self>, LayerError> {
        if !secret::is_one(text) {
            return Ok(None);
        }
        store.read_once(&key(text)).await
    }
}

fn key(text: &str) -> String {
    format!("ticket:{}", secret::hash(text))
}
