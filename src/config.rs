//! The settings: read once and whole, from flags and environment, before anything binds.

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ContextKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use tracing_subscriber::EnvFilter;

use crate::layer::Keep;
use crate::layer::redis::address::Address;
use crate::origin::OriginPattern;
use crate::telemetry::LogFormat;

/// Every setting of a node, each a flag and an environment variable; the flag wins.
#[derive(Clone, Debug, Parser)]
#[command(version, about = "", max_term_width = 100)]
pub struct Config {
    /// Addresses to listen on, separated by commas; port 0 takes a free one
    #[arg(long, env = "PARLOR_LISTEN", value_name = "ADDR", value_delimiter = ',',
          default_value = "127.0.0.1:8000", value_parser = address)]
    pub listen: Vec<SocketAddr>,

    /// Redis that all nodes share, as redis://host:port/db, or redis+sentinel://host:port,host:port/name with
    /// the Sentinels that watch the master of this name; without it this node stands alone
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true, value_parser = redis_url)]
    redis_url: Option<RedisUrl>,

    /// Keep trying when Redis cannot be reached at the start
    #[arg(long, env = "PARLOR_WAIT_FOR_REDIS")]
    pub wait_for_redis: bool,

    /// Threads that serve; one is the cheapest, and a node for each core the best (see docs/performance.md)
    #[arg(long, env = "PARLOR_THREADS", value_name = "COUNT", default_value = "1", value_parser = positive)]
    pub threads: usize,

    /// What to log: error, warn, info, debug, trace, or a filter such as info,parlor::layer=debug
    #[arg(long, env = "PARLOR_LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    log_level: String,

    /// How to log on stderr: text or json
    #[arg(
        long,
        env = "PARLOR_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    pub log_format: LogFormat,

    /// Longest message that a client may send, in bytes; a longer one closes its socket with 1009
    #[arg(long, env = "PARLOR_MAX_MESSAGE_BYTES", value_name = "BYTES", default_value = "65536", value_parser = positive)]
    pub max_message_bytes: usize,

    /// Longest name, in characters
    #[arg(long, env = "PARLOR_MAX_NAME_CHARS", value_name = "CHARS", default_value = "64", value_parser = positive)]
    pub max_name_chars: usize,

    /// Bytes that may wait for one slow socket; more closes it with 4408
    #[arg(long, env = "PARLOR_MAX_OUTBOX_BYTES", value_name = "BYTES", default_value = "1048576", value_parser = positive)]
    pub max_outbox_bytes: usize,

    /// Frames that may wait for one slow socket; more closes it with 4408
    #[arg(long, env = "PARLOR_MAX_OUTBOX_MESSAGES", value_name = "COUNT", default_value = "4096", value_parser = positive)]
    pub max_outbox_messages: usize,

    /// Messages that each log keeps, at least
    #[arg(long, env = "PARLOR_LOG_MESSAGES", value_name = "COUNT", default_value = "1000", value_parser = positive)]
    pub log_messages: usize,

    /// For how long a log keeps its messages
    #[arg(long, env = "PARLOR_LOG_SECONDS", value_name = "SECONDS", default_value = "86400", value_parser = positive)]
    pub log_seconds: usize,

    /// Redis replicas that must have a message before it is acknowledged
    #[arg(long, env = "PARLOR_WAIT_REPLICAS", value_name = "COUNT", default_value = "0")]
    pub wait_replicas: usize,

    /// Over how long a node that is stopped (SIGTERM) sends its sockets away, one after another
    #[arg(long, env = "PARLOR_DRAIN_SECONDS", value_name = "SECONDS", default_value = "20")]
    pub drain_seconds: u32,

    /// Connections that may be open at once; the next is answered 503. Without it, as many as the hard limit of
    /// file descriptors allows (`ulimit -Hn`, less 320)
    #[arg(long, env = "PARLOR_MAX_CONNECTIONS", value_name = "COUNT", value_parser = positive)]
    pub max_connections: Option<usize>,

    /// Origins that may connect besides the node's own host, separated by commas: a host, .example.com
    /// for it and all its subdomains, an origin with its scheme, or * for all
    #[arg(long, env = "PARLOR_ALLOWED_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<OriginPattern>,

    /// Read templates/, static/ and locales/ from this folder at each request, while developing;
    /// without it, those in the binary
    #[arg(long, env = "PARLOR_ASSETS", value_name = "DIR", value_parser = folder)]
    pub assets: Option<PathBuf>,
}

/// A Redis URL; empty when the variable is set to nothing, which means no Redis.
#[derive(Clone, Debug)]
struct RedisUrl(String);

impl Config {
    /// Reads the process's arguments and environment; `about` heads the help.
    ///
    /// # Errors
    /// `Err(Ok(text))` is what `--help` and `--version` print; `Err(Err(line))` names the setting,
    /// what came and what was expected.
    pub fn read(about: &'static str) -> Result<Self, Result<String, String>> {
        let matches = Self::command().about(about).try_get_matches();
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| {
            if error.use_stderr() { Err(explain(&error)) } else { Ok(error.render().to_string()) }
        })
    }

    /// The URL of the Redis that all nodes share, if there is one.
    pub fn redis_url(&self) -> Option<&str> {
        self.redis_url.as_ref().map(|url| url.0.as_str()).filter(|url| !url.is_empty())
    }

    /// What logs keep.
    pub(crate) fn keep(&self) -> Keep {
        let age = Duration::from_secs(self.log_seconds as u64);
        Keep { messages: self.log_messages, age, replicas: self.wait_replicas }
    }

    /// What to log.
    pub(crate) fn log_filter(&self) -> EnvFilter {
        // tungstenite's lines hold what people wrote, which no log may.
        let silent = "tungstenite=off".parse().expect("a constant directive");
        EnvFilter::new(&self.log_level).add_directive(silent)
    }
}

/// clap's error on one line: the setting by both its names, what came, what was expected.
fn explain(error: &clap::Error) -> String {
    let context = |kind| error.get(kind).map(ToString::to_string);
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = argument.split_whitespace().next().unwrap_or_default();
    let command = Config::command();
    let variable = command
        .get_arguments()
        .find(|known| known.get_long().is_some_and(|long| flag == format!("--{long}")))
        .and_then(|known| known.get_env()?.to_str());
    let (Some(variable), Some(value)) = (variable, context(ContextKind::InvalidValue)) else {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        return format!("{line}; see --help");
    };
    // The part of a URL before `@` is a password.
    let value = value.rsplit('@').next().unwrap_or_default();
    let valid = context(ContextKind::ValidValue).filter(|valid| !valid.is_empty());
    let expected = match (error.source(), valid) {
        (Some(why), _) => why.to_string(),
        (None, Some(valid)) => format!("expected one of {valid}"),
        (None, None) => "expected a value".to_owned(),
    };
    format!("{flag} ({variable}): got `{value}`, {expected}")
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.trim().to_socket_addrs().into_iter().flatten();
    found.next().ok_or_else(|| "expected an address with a port, as 127.0.0.1:8000".to_owned())
}

fn redis_url(text: &str) -> Result<RedisUrl, String> {
    if !text.is_empty() && Address::parse(text).is_err() {
        return Err("expected a URL as redis://127.0.0.1:6379/0 or redis+sentinel://host:port,host:port/name (TLS to Redis is not built in)".to_owned());
    }
    Ok(RedisUrl(text.to_owned()))
}

fn log_level(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| {
        "expected error, warn, info, debug, trace, or a filter as info,parlor::layer=debug".to_owned()
    })
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number above 0".to_owned())
}

fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("expected a folder that exists".to_owned()) }
}
