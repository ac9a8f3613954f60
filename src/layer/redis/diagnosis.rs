//! What a server says of itself, and in which words it refuses to talk: a Redis that this node can
//! use, or why it is none.

use std::io;
use std::time::Duration;

use redis::ConnectionInfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::REDIS_PASSWORD;
use crate::config::redis_address::RedisAddress;
use crate::layer::redis::dial::dial;
use crate::layer::redis::fault::{Fault, permanent, temporary};
use crate::layer::redis::resp::{self, Value};
use crate::layer::redis::shards::Place;
use crate::layer::redis::wrong_port::{self, SPEAKS_TLS};

/// Time in which a server has to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The oldest version with the commands that are used.
const OLDEST_VERSION: (u32, u32) = (6, 2);

/// The oldest version of a Cluster: the first with sharded pub/sub.
const OLDEST_CLUSTER_VERSION: (u32, u32) = (7, 0);

/// Parts of errors of Redis that only an operator can mend, in lower case.
const PERMANENT_ERRORS: [&str; 7] = [
    "noauth",
    "noperm",
    "the user executing the script can't",
    "wrongpass",
    "unknown command",
    "unknown redis command",
    "cluster support disabled",
];

/// What a server says of itself.
#[derive(Debug, Default)]
pub(super) struct ServerInfo {
    /// Its `maxmemory-policy`, if it discards keys when its memory is full.
    pub(super) eviction: Option<String>,
}

/// Asks the server at this place who it is.
///
/// # Errors
/// Returns a [`Fault`] for a server that cannot be reached, or that this node cannot use.
pub(super) async fn ask(place: &Place) -> Result<ServerInfo, Fault> {
    let address = place.address();
    let server = match place.server().await {
        Ok(server) => server,
        Err(error) => return Err(or_wrong_port(Fault::from_error(&error), &address.sentinels).await),
    };
    match ask_server(address, &server).await {
        Ok(info) => Ok(info),
        Err(fault) => Err(or_wrong_port(fault, &[server]).await),
    }
}

/// Asks servers until one answers as it should.
///
/// # Errors
/// Returns the last [`Fault`] if none does.
pub(super) async fn ask_any(address: &RedisAddress, servers: &[ConnectionInfo]) -> Result<(), Fault> {
    let mut last = temporary("no server was asked");
    for server in servers {
        match ask_server(address, server).await {
            Ok(_) => return Ok(()),
            Err(fault) => last = fault,
        }
    }
    Err(or_wrong_port(last, servers).await)
}

/// Returns the fault, unless a server speaks TLS and the URL is one without, or the reverse.
async fn or_wrong_port(fault: Fault, servers: &[ConnectionInfo]) -> Fault {
    if !fault.is_permanent {
        for server in servers {
            if let Some(fault) = wrong_port::find(server).await {
                return fault;
            }
        }
    }
    fault
}

/// Asks a server who it is.
///
/// # Errors
/// Returns a [`Fault`] for a server that cannot be reached, or that this node cannot use.
pub(super) async fn ask_server(address: &RedisAddress, server: &ConnectionInfo) -> Result<ServerInfo, Fault> {
    let answers = async {
        let mut io = dial(address, server).await.map_err(|error| Fault::from_error(&error))?;
        let mut out = Vec::new();
        resp::command(
            &mut out,
            &hello(server.redis_settings()).iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
        let database = server.redis_settings().db();
        if database != 0 {
            resp::command(&mut out, &[b"SELECT", database.to_string().as_bytes()]);
        }
        resp::command(&mut out, &[b"INFO", b"memory"]);
        // What the server says before it closes explains more than the failure of a write.
        let written = match io.write_all(&out).await {
            Ok(()) => io.flush().await,
            failed => failed,
        };
        let mut received = Vec::new();
        let greeting = loop {
            if let Some((value, length)) = parse(&received)? {
                let greeting = greeting(&value, address)?;
                received.drain(..length);
                break greeting;
            }
            match io.read_buf(&mut received).await {
                Ok(0) if received.is_empty() => return Err(ended(written.err())),
                Ok(0) => return Err(foreign(&received)),
                Ok(_) if received.len() > MAX_ANSWER_BYTES => return Err(foreign(&received)),
                Ok(_) => {}
                Err(error) => return Err(ended(Some(error))),
            }
        };
        greeting.check(address.is_cluster())?;
        let mut is_selected = database == 0;
        let memory = loop {
            match parse(&received)? {
                Some((Value::Error(text), _)) if !is_selected => {
                    return Err(explain(&String::from_utf8_lossy(text), address));
                }
                Some((_, length)) if !is_selected => {
                    received.drain(..length);
                    is_selected = true;
                    continue;
                }
                Some((Value::Text(text), _)) => break String::from_utf8_lossy(text).into_owned(),
                Some(_) => break String::new(), // the user may not ask
                None => {}
            }
            if !matches!(io.read_buf(&mut received).await, Ok(1..)) {
                break String::new();
            }
        };
        Ok(ServerInfo { eviction: eviction(&memory) })
    };
    timeout(ANSWER_TIMEOUT, answers).await.unwrap_or_else(|_| {
        Err(temporary("the server takes the connection and does not answer: it is frozen, or no Redis"))
    })
}

/// Returns `HELLO 3` with the credentials, as its arguments.
pub(super) fn hello(settings: &redis::RedisConnectionInfo) -> Vec<Vec<u8>> {
    let mut hello = vec![b"HELLO".to_vec(), b"3".to_vec()];
    if let Some(password) = settings.password() {
        let user = settings.username().unwrap_or("default");
        hello.extend([b"AUTH".to_vec(), user.as_bytes().to_vec(), password.as_bytes().to_vec()]);
    }
    hello
}

/// What `HELLO` returns.
struct Greeting {
    version: String,
    mode: String,
}

impl Greeting {
    fn check(&self, is_cluster: bool) -> Result<(), Fault> {
        match self.mode.as_str() {
            "cluster" if !is_cluster => {
                return Err(permanent(
                    "this is a node of a Redis Cluster: set REDIS_URL to redis+cluster://host:port,host:port, \
                     with some of its nodes",
                ));
            }
            "standalone" if is_cluster => {
                return Err(permanent(
                    "this is a single Redis, not a node of a Cluster: set REDIS_URL to redis://host:port",
                ));
            }
            "sentinel" => {
                return Err(permanent(
                    "this is a Sentinel: set REDIS_URL to redis+sentinel://host:port/NAME, with the name \
                     of the master",
                ));
            }
            _ => {}
        }
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(u32::MAX));
        let version = (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(u32::MAX));
        if version < OLDEST_VERSION {
            return Err(permanent(format!("this is Redis {}: expected 6.2 or newer", self.version)));
        }
        if is_cluster && version < OLDEST_CLUSTER_VERSION {
            return Err(permanent(format!(
                "this is Redis {}, without sharded pub/sub: expected 7.0 or newer for a Cluster",
                self.version
            )));
        }
        Ok(())
    }
}

fn greeting(value: &Value<'_>, address: &RedisAddress) -> Result<Greeting, Fault> {
    match value {
        Value::Error(text) => Err(explain(&String::from_utf8_lossy(text), address)),
        Value::List(pairs) => {
            let field = |name: &str| {
                let mut pairs = pairs.chunks_exact(2);
                let found = pairs.find(|pair| pair[0].text() == Some(name));
                found.and_then(|pair| pair[1].text()).unwrap_or_default().to_owned()
            };
            Ok(Greeting { version: field("version"), mode: field("mode") })
        }
        _ => Err(permanent("the answer to HELLO is not Redis'")),
    }
}

fn parse(received: &[u8]) -> Result<Option<(Value<'_>, usize)>, Fault> {
    Value::parse(received).map_err(|_| foreign(received))
}

/// Returns the fault of a server that is no Redis, by its first bytes.
pub(super) fn foreign(received: &[u8]) -> Fault {
    permanent(match received {
        [b'H', b'T', b'T', b'P', b'/', ..] => "this is an HTTP server, not Redis",
        [0x15 | 0x16, 3, ..] => SPEAKS_TLS,
        _ => "the server answers, and is not Redis",
    })
}

/// Returns the fault of a connection that ended before an answer.
fn ended(error: Option<io::Error>) -> Fault {
    let fault = error.map(|error| Fault::from_error(&error));
    if let Some(fault) = fault.clone().filter(|fault| fault.is_permanent) {
        return fault;
    }
    let why = fault.map(|fault| format!(" ({})", fault.cause)).unwrap_or_default();
    temporary(format!("the server closed the connection without an answer to HELLO{why}: is it Redis?"))
}

/// Returns the fault that this error of Redis means, with what to do about it.
pub(super) fn explain(reply: &str, address: &RedisAddress) -> Fault {
    let is_unknown = reply.contains("unknown command") || reply.contains("unknown subcommand");
    match reply.split(' ').next().unwrap_or_default() {
        "NOAUTH" => permanent(format!(
            "NOAUTH: Redis requires a password; give it in REDIS_URL, as redis://:PASSWORD@host:port, in {} or \
             by {}",
            REDIS_PASSWORD.variable(),
            REDIS_PASSWORD.flag
        )),
        "WRONGPASS" => permanent(format!("{reply}; check {}", address.login_settings())),
        "NOPERM" => permanent(format!("{reply}; check the ACL of the user in Redis")),
        "DENIED" => permanent(
            "DENIED: Redis runs in protected mode and takes no clients of other machines; set a password in \
             Redis (requirepass), or `bind` and `protected-mode no`",
        ),
        "ERR" if reply.contains("max number of clients") => {
            temporary("Redis has reached its limit of clients; raise `maxclients` in Redis")
        }
        "ERR" if is_unknown && reply.to_ascii_uppercase().contains("HELLO") => {
            permanent(format!("{reply}; expected Redis 6.2 or newer, with HELLO not renamed"))
        }
        "ERR" if is_unknown => permanent(format!("{reply}; it must not be renamed or disabled in Redis")),
        _ => temporary(reply),
    }
}

/// Returns whether a text contains an error of Redis that only an operator can mend.
pub(super) fn is_permanent(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    PERMANENT_ERRORS.iter().any(|error| text.contains(error))
}

/// Returns the `maxmemory-policy` of `INFO memory` if it discards keys and memory has a limit.
fn eviction(memory: &str) -> Option<String> {
    let field = |name: &str| memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let is_limited = field("maxmemory").is_some_and(|limit| limit != "0");
    field("maxmemory_policy").filter(|policy| is_limited && *policy != "noeviction").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_used_only_in_a_mode_and_version_that_works() {
        for (version, mode, is_cluster, word) in [
            ("7.0.15", "standalone", false, ""),
            ("6.2.0", "standalone", false, ""),
            ("255.255.255", "standalone", false, ""),
            ("unstable", "", false, ""),
            ("6.0.16", "standalone", false, "6.2 or newer"),
            ("7.0.15", "cluster", false, "redis+cluster://"),
            ("7.0.15", "sentinel", false, "redis+sentinel://"),
            ("7.0.0", "cluster", true, ""),
            ("6.2.14", "cluster", true, "sharded pub/sub"),
            ("7.0.15", "standalone", true, "redis://host:port"),
            ("7.0.15", "sentinel", true, "redis+sentinel://"),
        ] {
            let greeting = Greeting { version: version.to_owned(), mode: mode.to_owned() };
            match greeting.check(is_cluster) {
                Ok(()) => assert_eq!(word, "", "{version} {mode}"),
                Err(fault) => assert!(!word.is_empty() && fault.cause.contains(word), "{}", fault.cause),
            }
        }
    }

    #[test]
    fn only_a_full_memory_that_discards_keys_is_an_eviction() {
        for (memory, expected) in [
            ("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", None),
            ("maxmemory:100\r\nmaxmemory_policy:noeviction\r\n", None),
            ("maxmemory:100\r\nmaxmemory_policy:volatile-lru\r\n", Some("volatile-lru")),
            ("", None),
        ] {
            assert_eq!(eviction(memory).as_deref(), expected, "{memory}");
        }
    }
}
