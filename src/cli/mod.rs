//! Commands that run instead of the server.

pub(crate) mod arguments;
mod caller;
mod key;
mod password;
mod routes;
mod usage;
mod user;

use clap::Subcommand;
use tokio::runtime::Builder;

use self::key::KeyCommand;
use self::user::UserCommand;
use crate::app::Application;
use crate::auth::audit;
use crate::auth::secret;
use crate::config::Config;
use crate::layer::LayerError;
use crate::layer::{AdminClient, SharedStore};
use crate::telemetry::Chain;

/// A command.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a new random secret, as for {NAME}_SECRET
    Secret,
    /// Print the routes, each with its access, CSRF rule and rate class
    Routes,
    /// Manage accounts: add and list them, and grant the operator's role
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = false)]
    User(UserCommand),
    /// Manage API keys of other programs: add, list and revoke them
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = false)]
    Key(KeyCommand),
}

impl Command {
    /// Runs the command and returns its output.
    ///
    /// # Errors
    /// Returns one line.
    pub(crate) fn run(&self, config: &Config, application: &Application) -> Result<String, String> {
        match self {
            Self::Secret => return Ok(format!("{}\n", secret::new())),
            Self::Routes => return Ok(routes::table(application.routes)),
            Self::User(_) | Self::Key(_) => {}
        }
        let url = config.redis_url().ok_or(
            "`REDIS_URL` (--redis-url): expected the Redis of the nodes; a node without Redis keeps everything to itself, \
             and has --operator",
        )?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("could not start threads: {error}"))?;
        runtime.block_on(async {
            let admin = AdminClient::open(url, config.redis_prefix(), config.wait_replicas)
                .await
                .map_err(|error| Chain(&error).to_string())?;
            match self {
                Self::User(command) => command.run(&admin).await,
                Self::Key(command) => command.run(&admin, application.scopes).await,
                Self::Secret | Self::Routes => unreachable!("they need no Redis"),
            }
        })
    }
}

/// Writes the command's action into the audit log.
async fn note(store: &SharedStore, what: &str, about: &str) -> Result<(), String> {
    audit::write(store, &caller::name(), what, about).await.map_err(away)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn away(error: LayerError) -> String {
    Chain(&error).to_string()
}
