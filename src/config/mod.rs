//! The settings: read once from flags and environment, before the node binds.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;

pub(crate) mod app_name;
pub(crate) mod app_settings;
pub(crate) mod auth;
pub(crate) mod limits;
pub(crate) mod network;
pub mod parsers;
pub(crate) mod redis_address;
pub(crate) mod secret;
pub(crate) mod secret_error;
pub(crate) mod setting;
pub(crate) mod tokens;
pub(crate) mod weakness;

use crate::config::app_name::AppName;
use crate::config::app_settings::AppValues;
use crate::config::auth::AuthConfig;
use crate::config::limits::LimitsConfig;
use crate::config::network::NetworkConfig;
use crate::config::parsers::{RedisUrl, address, boolean, folder, log_level, positive, redis_url};
use crate::config::redis_address::RedisAddress;
use crate::config::secret_error::SecretError;
use crate::config::tokens::Tokens;
use crate::telemetry::LogFormat;

/// Every setting of a node is a flag and an environment variable. The flag wins. The variable is
/// made of the application's name and the flag, unless the setting names one. In the texts for
/// `--help`, `{name}` and `{NAME}` stand for the application's name.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Config {
    /// Addresses to listen on, separated by commas; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_delimiter = ',',
          default_value = "127.0.0.1:8000", value_parser = address)]
    pub listen: Vec<SocketAddr>,

    /// Redis that all nodes share, as redis://host:port/db, or
    /// redis+sentinel://host:port,host:port/name with the Sentinels that watch the master of this
    /// name; without it this node stands alone
    #[arg(long, env = "REDIS_URL", value_name = "URL", global = true, hide_env_values = true, value_parser = redis_url)]
    redis_url: Option<RedisUrl>,

    /// Keep trying when Redis cannot be reached at the start
    #[arg(long, value_parser = boolean)]
    pub wait_for_redis: bool,

    /// Threads that serve; one is the cheapest, and a node for each core the best (see
    /// docs/performance.md)
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = positive)]
    pub threads: usize,

    /// What to log: error, warn, info, debug, trace, or a filter such as info,parlor::layer=debug
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    log_level: String,

    /// How to log on stderr: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub log_format: LogFormat,

    /// Longest message that a client may send, in bytes; a longer one closes its socket with 1009
    #[arg(long, value_name = "BYTES", default_value = "65536", value_parser = positive)]
    pub max_message_bytes: usize,

    /// Bytes that may wait for one slow socket; more closes it with 4408
    #[arg(long, value_name = "BYTES", default_value = "1048576", value_parser = positive)]
    pub max_outbox_bytes: usize,

    /// Frames that may wait for one slow socket; more closes it with 4408
    #[arg(long, value_name = "COUNT", default_value = "4096", value_parser = positive)]
    pub max_outbox_messages: usize,

    /// Messages that each log keeps, at least
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = positive)]
    pub log_messages: usize,

    /// For how long a log keeps its messages
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = positive)]
    pub log_seconds: usize,

    /// Redis replicas that must have a message before it is acknowledged
    #[arg(long, value_name = "COUNT", default_value = "0")]
    pub wait_replicas: usize,

    /// Over how long a node that is stopped (SIGTERM) sends its sockets away, one after another
    #[arg(long, value_name = "SECONDS", default_value = "20")]
    pub drain_seconds: u32,

    /// Connections that may be open at once; the next is answered 503. Without it, as many as the
    /// hard limit of file descriptors allows (`ulimit -Hn`, less 320)
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    pub max_connections: Option<usize>,

    /// Read templates/, static/ and locales/ from this folder at each request, while developing;
    /// without it, those in the binary
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub assets: Option<PathBuf>,

    /// Who comes in.
    #[command(flatten)]
    pub auth: AuthConfig,

    /// Users of other sites.
    #[command(flatten)]
    pub tokens: Tokens,

    /// Which hosts, pages and proxies are believed.
    #[command(flatten)]
    pub network: NetworkConfig,

    /// How fast and how many.
    #[command(flatten)]
    pub limits: LimitsConfig,

    /// The application's name.
    #[arg(skip)]
    pub(crate) name: AppName,

    /// The application's own settings.
    #[arg(skip)]
    pub(crate) application: AppValues,
}

impl Config {
    /// Reads the files that settings name: secrets and keys.
    ///
    /// # Errors
    /// Returns [`SecretError`] for a secret that cannot be read, or that can be guessed.
    pub(crate) fn read_secrets(&mut self) -> Result<(), SecretError> {
        self.auth.read_secrets()?;
        self.tokens.read_secret()
    }

    /// Returns the URL of the Redis that all nodes share, if there is one.
    pub fn redis_url(&self) -> Option<&str> {
        self.redis_url.as_ref().map(RedisUrl::text).filter(|url| !url.is_empty())
    }

    /// Returns the addresses of Redis, or of its Sentinels, without user and password.
    pub(crate) fn redis_address(&self) -> Option<String> {
        RedisAddress::parse(self.redis_url()?).ok().map(|address| address.text())
    }

    /// Returns the filter of the log.
    pub(crate) fn log_filter(&self) -> EnvFilter {
        // tungstenite logs contents of messages, which must not be logged.
        let silent = "tungstenite=off".parse().expect("a constant directive");
        EnvFilter::new(&self.log_level).add_directive(silent)
    }
}
