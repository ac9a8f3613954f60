//! `parlor key`: API keys of other programs.

use clap::Subcommand;

use super::{away, note};
use crate::auth::api_keys::ApiKeys;
use crate::auth::usernames;
use crate::layer::AdminClient;
use crate::wire::time::local_day;

/// What to do about keys.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Add a key and print it; it cannot be shown again
    Add {
        /// The name of the key
        name: String,
        /// Scopes of the key, separated by commas
        #[arg(long = "scope", value_name = "SCOPES", value_delimiter = ',', required = true)]
        scopes: Vec<String>,
    },
    /// List all keys, the newest first: name, id, scopes and creation time
    List,
    /// Revoke a key
    Revoke {
        /// The name of the key
        name: String,
    },
}

impl KeyCommand {
    /// Runs the command and returns its output. Keys may have the scopes `known`.
    pub(super) async fn run(&self, admin: &AdminClient, known: &[&str]) -> Result<String, String> {
        let keys = ApiKeys { store: admin.store() };
        match self {
            Self::Add { name, scopes } => {
                if let Some(unknown) = scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
                    return Err(format!("--scope: got `{unknown}`, expected some of {}", known.join(", ")));
                }
                usernames::Username::parse(name).ok_or_else(|| format!("`{name}`: {}", usernames::RULE))?;
                let taken = || format!("there is a key `{name}`, or one that looks like it, already");
                if !keys.is_free(name).await.map_err(away)? {
                    return Err(taken());
                }
                note(admin.store(), "key_add", &format!("{}: {}", name.trim(), scopes.join(", "))).await?;
                let (_, text) = keys.make(name, scopes).await.map_err(away)?.ok_or_else(taken)?;
                Ok(format!("{text}\n"))
            }
            Self::List => {
                let lines = keys.all().await.map_err(away)?.into_iter().map(|key| {
                    format!("{}\t{}\t{}\t{}\n", key.name, key.id, key.scopes.join(", "), local_day(key.made))
                });
                Ok(lines.collect())
            }
            Self::Revoke { name } => {
                let Some(key) = keys.find_by_name(name).await.map_err(away)? else {
                    return Err(format!("there is no key `{name}`"));
                };
                note(admin.store(), "key_revoke", &key.name).await?;
                match ApiKeys::revoke(admin, &key).await.map_err(away)? {
                    Some(()) => Ok(format!("revoked {}\n", key.name)),
                    None => Err(format!("the key `{name}` was revoked in this moment")),
                }
            }
        }
    }
}
