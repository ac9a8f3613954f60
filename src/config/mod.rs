//! The settings: read once from flags and environment, before the node binds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tracing_subscriber::EnvFilter;

pub(crate) mod app_name;
pub(crate) mod app_settings;
pub(crate) mod auth;
pub(crate) mod limits;
pub(crate) mod network;
pub mod parsers;
pub(crate) mod redis_address;
pub(crate) mod redis_setting_error;
pub(crate) mod redis_tls;
pub(crate) mod redis_tls_settings;
pub(crate) mod redis_url;
pub(crate) mod secret;
pub(crate) mod secret_error;
pub(crate) mod setting;
pub(crate) mod tokens;
pub(crate) mod trusted_proxy;
pub(crate) mod weakness;

use crate::config::app_name::AppName;
use crate::config::app_settings::AppValues;
use crate::config::auth::AuthConfig;
use crate::config::limits::LimitsConfig;
use crate::config::network::NetworkConfig;
use crate::config::parsers::{
    address, boolean, file, folder, log_level, number, positive, redis_prefix, redis_url,
};
use crate::config::redis_setting_error::RedisSettingError;
use crate::config::redis_tls_settings::RedisTlsSettings;
use crate::config::redis_url::RedisUrl;
use crate::config::secret::{Secret, Source};
use crate::config::secret_error::SecretError;
use crate::config::tokens::Tokens;
use crate::telemetry::LogFormat;

pub(crate) const REDIS_PASSWORD: Source = Source { flag: "--redis-password-file" };
pub(crate) const SENTINEL_PASSWORD: Source = Source { flag: "--redis-sentinel-password-file" };

/// Every setting of a node is a flag and an environment variable. The flag wins. The variable is
/// made of the application's name and the flag, unless the setting names one. In the texts for
/// `--help`, `{name}` and `{NAME}` stand for the application's name.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Config {
    /// Addresses to listen on, separated by commas; a port alone, as :8000, is that of all
    /// addresses of this machine; port 0 takes any free port
    #[arg(long, value_name = "ADDR", value_delimiter = ',',
          default_value = "127.0.0.1:8000", value_parser = address)]
    pub listen: Vec<SocketAddr>,

    /// URL of the Redis that all nodes share: redis://host:port/db,
    /// redis+unix:///path/of/socket?db=0, or redis+sentinel://host:port,host:port/NAME for a master
    /// that Sentinels monitor; rediss:// and rediss+sentinel:// with TLS; without it, the node runs
    /// alone
    #[arg(long, env = "REDIS_URL", value_name = "URL", global = true, hide_env_values = true, value_parser = redis_url)]
    redis_url: Option<RedisUrl>,

    /// Prefix of all keys in Redis, and of channels: nodes with the same prefix and database share
    /// what they keep there. Without it, the application's name
    #[arg(long, value_name = "PREFIX", global = true, value_parser = redis_prefix)]
    redis_prefix: Option<String>,

    /// Prefix of the channels that are shared with Django's `channels_redis`, its setting `prefix`.
    /// Without it asgi, or no shared channels with a --redis-prefix or database of its own, as
    /// Redis' channels have no databases
    #[arg(long, value_name = "PREFIX", value_parser = redis_prefix)]
    channels_prefix: Option<String>,

    /// File with the password of Redis, which replaces that of the URL; can also be set in
    /// {NAME}_REDIS_PASSWORD. All users of a machine can read its command lines
    #[arg(long, value_name = "FILE", global = true, value_parser = file)]
    redis_password_file: Option<PathBuf>,

    /// File with the password of the Sentinels, if they have one; can also be set in
    /// {NAME}_REDIS_SENTINEL_PASSWORD
    #[arg(long, value_name = "FILE", global = true, value_parser = file)]
    redis_sentinel_password_file: Option<PathBuf>,

    /// TLS to Redis.
    #[command(flatten)]
    redis_tls: RedisTlsSettings,

    /// Retry while Redis is unreachable at the start, instead of exiting
    #[arg(long, value_parser = boolean)]
    pub wait_for_redis: bool,

    /// Number of worker threads; one node with one thread for each core performs best (see
    /// docs/performance.md)
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = positive)]
    pub threads: usize,

    /// Log level: error, warn, info, debug or trace; or a filter such as info,parlor::layer=debug
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    log_level: String,

    /// Format of the log on stderr: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub log_format: LogFormat,

    /// Maximum length of a client's message, in bytes; a longer one is rejected, on the plain wire
    /// by closing the socket with 1009
    #[arg(long, value_name = "BYTES", default_value = "65536", value_parser = positive)]
    pub max_message_bytes: usize,

    /// Maximum number of channels that one connection joins
    #[arg(long, value_name = "COUNT", default_value = "128", value_parser = positive)]
    pub max_channels: usize,

    /// Maximum number of bytes queued for one socket; more close it with 4408
    #[arg(long, value_name = "BYTES", default_value = "1048576", value_parser = positive)]
    pub max_outbox_bytes: usize,

    /// Maximum number of writes queued for one socket; more close it with 4408
    #[arg(long, value_name = "COUNT", default_value = "4096", value_parser = positive)]
    pub max_outbox_messages: usize,

    /// Minimum number of messages that each log keeps
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = positive)]
    pub log_messages: usize,

    /// Maximum number of bytes that a group's log keeps; 0 is no limit
    #[arg(long, value_name = "BYTES", default_value = "134217728", value_parser = number::<usize>)]
    pub log_bytes: usize,

    /// Time after which a log drops a message, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = positive)]
    pub log_seconds: usize,

    /// Number of Redis replicas that must have a message before it is acknowledged
    #[arg(long, value_name = "COUNT", default_value = "0", value_parser = number::<usize>)]
    pub wait_replicas: usize,

    /// Time over which a stopping node (SIGTERM) closes its sockets one by one, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = number::<u32>)]
    pub drain_seconds: u32,

    /// Time without Redis after which clients that can resume are sent to another node, in
    /// seconds; 0 keeps them
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = number::<u32>)]
    pub move_on_seconds: u32,

    /// Time after which an idle HTTP connection is closed, in seconds; longer than the load
    /// balancer keeps one. 0 closes each after its response
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = number::<u32>)]
    keep_alive_seconds: u32,

    /// Maximum number of open connections; further ones get 503. Without it, the hard limit of file
    /// descriptors (`ulimit -Hn`), less 320
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    pub max_connections: Option<usize>,

    /// Directory with templates/, static/ and locales/, read for each request during development;
    /// without it, the files embedded in the binary are used
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub assets: Option<PathBuf>,

    /// Accounts, sessions and guests.
    #[command(flatten)]
    pub auth: AuthConfig,

    /// Tokens that other sites issue.
    #[command(flatten)]
    pub tokens: Tokens,

    /// Trusted hosts, origins and proxies.
    #[command(flatten)]
    pub network: NetworkConfig,

    /// Rates, and numbers of sockets.
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

    /// Reads the passwords and certificates for Redis, which commands use as well.
    ///
    /// # Errors
    /// Returns [`RedisSettingError`] when they cannot be read, or do not fit the URL.
    pub(crate) fn read_redis_files(&mut self) -> Result<(), RedisSettingError> {
        let (file, sentinel_file) = (&self.redis_password_file, &self.redis_sentinel_password_file);
        let password = REDIS_PASSWORD.read(file.as_deref())?;
        let sentinel_password = SENTINEL_PASSWORD.read(sentinel_file.as_deref())?;
        let Some(mut url) = self.redis_url().cloned() else { return Ok(()) };
        if let Some(password) = password.as_ref().and_then(Secret::text) {
            url = url.with_password(password, REDIS_PASSWORD.shown(file.as_deref()));
        }
        if let Some(password) = sentinel_password.as_ref().and_then(Secret::text) {
            if !url.has_sentinels() {
                let setting = SENTINEL_PASSWORD.shown(sentinel_file.as_deref());
                return Err(RedisSettingError::NoSentinels(setting));
            }
            url = url.with_sentinel_password(password);
        }
        if url.is_tls() {
            url = url.with_tls(self.redis_tls.read()?);
        } else if let Some(setting) = self.redis_tls.first_set() {
            return Err(RedisSettingError::NoTls(setting));
        }
        self.redis_url = Some(url);
        Ok(())
    }

    /// Returns the URL of the Redis that all nodes share, if there is one.
    pub fn redis_url(&self) -> Option<&RedisUrl> {
        self.redis_url.as_ref().filter(|url| !url.is_empty())
    }

    /// Returns the prefix of the keys in Redis.
    pub(crate) fn redis_prefix(&self) -> &str {
        self.redis_prefix.as_deref().unwrap_or(self.name.as_str())
    }

    /// Returns the prefix of the channels that are shared with Django; `None` if none are: two
    /// sites on one Redis share nothing unless they are set to.
    pub(crate) fn channels_prefix(&self) -> Option<&str> {
        let is_default = || {
            let address = self.redis_url()?.address().ok()?;
            (address.database() == 0 && self.redis_prefix() == self.name.as_str()).then_some("asgi")
        };
        self.channels_prefix.as_deref().or_else(is_default)
    }

    /// Returns the addresses of Redis, or of its Sentinels, without user and password.
    pub(crate) fn redis_address(&self) -> Option<String> {
        self.redis_url()?.address().ok().map(|address| address.text())
    }

    /// Returns the time after which an idle HTTP connection is closed.
    pub(crate) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_seconds.into())
    }

    /// Returns the filter of the log.
    pub(crate) fn log_filter(&self) -> EnvFilter {
        // tungstenite logs contents of messages, which must not be logged.
        let silent = "tungstenite=off".parse().expect("a constant directive");
        EnvFilter::new(&self.log_level).add_directive(silent)
    }
}
