//! Commands to Redis, each at the shard that has its key.
//!
//! A Cluster redirects: a slot has moved (`MOVED`), is moving (`ASK`, `TRYAGAIN`), or no server has
//! it for a moment (`CLUSTERDOWN`). Such a command was not carried out, and is sent again. The
//! client library's own connection to a Cluster is not used: it waits with all commands while it
//! looks for one lost server, it loads a script only if every server answers, and `WAIT` has to use
//! the connection that wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Arg, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value, from_redis_value};
use tokio::time::{Instant, sleep};

use crate::config::redis_address::RedisAddress;
use crate::layer::error::LayerError;
use crate::layer::redis::answer_time::COMMAND_TIMEOUT;
use crate::layer::redis::connections::Lane;
use crate::layer::redis::keys::Keys;
use crate::layer::redis::scripts::ScriptCall;
use crate::layer::redis::shards::{Shard, ShardId, Shards};

/// Pause before a command is sent again to a Cluster that moves its slot.
const REDIRECTION_PAUSE: Duration = Duration::from_millis(20);

/// Runs commands.
pub(super) struct Commands {
    shards: Arc<Shards>,
    keys: Keys,
}

/// What is sent.
enum Request<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptCall<'a>),
}

impl Request<'_> {
    /// Returns the key: the first argument of a command.
    fn key(&self) -> &[u8] {
        match self {
            Self::Command(command) => match command.args_iter().nth(1) {
                Some(Arg::Simple(key)) => key,
                _ => &[],
            },
            Self::Script(call) => call.first_key(),
        }
    }

    /// Returns the command; a script is called by its hash.
    fn by_hash(&self) -> Cow<'_, Cmd> {
        match self {
            Self::Command(command) => Cow::Borrowed(command),
            Self::Script(call) => Cow::Owned(call.by_hash()),
        }
    }

    /// Returns the call of a script by its text.
    fn by_text(&self) -> Option<Cmd> {
        match self {
            Self::Command(_) => None,
            Self::Script(call) => Some(call.by_text()),
        }
    }
}

impl Commands {
    pub(super) fn new(shards: Arc<Shards>, keys: Keys) -> Self {
        Self { shards, keys }
    }

    /// Returns what the keys of commands are made by.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns where commands go.
    pub(super) fn shards(&self) -> &Arc<Shards> {
        &self.shards
    }

    /// Returns the address of Redis.
    pub(super) fn address(&self) -> &RedisAddress {
        self.shards.address()
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LayerError> {
        self.request(Lane::Shared, Request::Command(command)).await
    }

    /// Publishes a message; returns to how many subscriptions of the shard.
    pub(super) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<usize, LayerError> {
        let mut publish = Cmd::new();
        publish.arg(if self.shards.is_cluster() { "SPUBLISH" } else { "PUBLISH" }).arg(channel).arg(payload);
        self.command(&publish).await
    }

    /// Runs commands; fails if one does. Those of one shard leave in one write, and keep their
    /// order.
    pub(super) async fn all(&self, commands: &[Cmd]) -> Result<Vec<Value>, LayerError> {
        let requests: Vec<Request<'_>> = commands.iter().map(Request::Command).collect();
        self.replies(&requests).await.into_iter().collect()
    }

    /// Runs commands in as few writes as there may be; returns what came of each.
    pub(super) async fn each<T: FromRedisValue>(&self, commands: &[Cmd]) -> Vec<Result<T, LayerError>> {
        let requests: Vec<Request<'_>> = commands.iter().map(Request::Command).collect();
        self.replies(&requests).await.into_iter().map(read).collect()
    }

    /// Calls scripts in as few writes as there may be; returns what came of each.
    pub(super) async fn each_script<T: FromRedisValue>(
        &self,
        calls: &[ScriptCall<'_>],
    ) -> Vec<Result<T, LayerError>> {
        let Some((first, others)) = calls.split_first() else { return Vec::new() };
        // By itself: a server that does not know the script refuses one call instead of all.
        let first = self.send(Lane::Shared, &Request::Script(first)).await;
        let others: Vec<Request<'_>> = others.iter().map(Request::Script).collect();
        std::iter::once(first).chain(self.replies(&others).await).map(read).collect()
    }

    pub(super) async fn script<T: FromRedisValue>(&self, call: &ScriptCall<'_>) -> Result<T, LayerError> {
        self.request(Lane::Shared, Request::Script(call)).await
    }

    /// Runs a script, and with `replicas` waits until so many have what it wrote.
    pub(super) async fn written<T: FromRedisValue>(
        &self,
        call: &ScriptCall<'_>,
        replicas: usize,
    ) -> Result<T, LayerError> {
        self.request(lane_for(replicas), Request::Script(call)).await
    }

    /// Runs a command that writes, and with `replicas` waits until so many have what it wrote.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        command: &Cmd,
        replicas: usize,
    ) -> Result<T, LayerError> {
        self.request(lane_for(replicas), Request::Command(command)).await
    }

    /// Runs a script whose answer may be large.
    pub(super) async fn bulk_script<T: FromRedisValue>(
        &self,
        call: &ScriptCall<'_>,
    ) -> Result<T, LayerError> {
        self.request(Lane::Bulk, Request::Script(call)).await
    }

    async fn request<T: FromRedisValue>(&self, lane: Lane, request: Request<'_>) -> Result<T, LayerError> {
        read(self.send(lane, &request).await)
    }

    /// Sends requests, those of one shard in one write; returns what came of each. A shard that is
    /// away fails its own only.
    async fn replies(&self, requests: &[Request<'_>]) -> Vec<Result<Value, LayerError>> {
        let mut by_shard: BTreeMap<ShardId, (Arc<Shard>, Vec<usize>)> = BTreeMap::new();
        for (at, request) in requests.iter().enumerate() {
            let shard = self.shards.of_key(request.key());
            by_shard.entry(shard.id).or_insert_with(|| (shard, Vec::new())).1.push(at);
        }
        let runs = by_shard.values().map(async |(shard, indices)| {
            let commands: Vec<Cow<'_, Cmd>> = indices.iter().map(|&at| requests[at].by_hash()).collect();
            let commands: Vec<&Cmd> = commands.iter().map(AsRef::as_ref).collect();
            let replies = shard.connections.run(Lane::Shared, &commands).await;
            replies.inspect_err(|_| self.shards.doubt())
        });
        let mut replies: Vec<Option<Result<Value, LayerError>>> = requests.iter().map(|_| None).collect();
        for ((shard, indices), run) in by_shard.values().zip(join_all(runs).await) {
            let run = match run {
                Ok(run) => run,
                Err(error) => {
                    for &at in indices {
                        replies[at] = Some(Err(error.clone()));
                    }
                    continue;
                }
            };
            for (&at, reply) in indices.iter().zip(run) {
                replies[at] = Some(match reply {
                    Err(error) if self.is_sent_again(&error) => self.send(Lane::Shared, &requests[at]).await,
                    reply => reply.map_err(|error| shard.connections.failed(error)),
                });
            }
        }
        replies.into_iter().flatten().collect()
    }

    fn is_sent_again(&self, error: &RedisError) -> bool {
        is_unknown_script(error) || (self.shards.is_cluster() && Redirection::of(error).is_some())
    }

    /// Sends a request to the shard that has its key, and again wherever it is redirected.
    async fn send(&self, lane: Lane, request: &Request<'_>) -> Result<Value, LayerError> {
        let (end, mut pause) = (Instant::now() + COMMAND_TIMEOUT, REDIRECTION_PAUSE);
        let mut command = request.by_hash();
        let asking = redis::cmd("ASKING");
        let (mut connections, mut is_asking) = (self.shards.connections_for(request.key()), false);
        loop {
            let commands: &[&Cmd] = if is_asking { &[&asking, &command] } else { &[&command] };
            let replies = connections.run(lane, commands).await.inspect_err(|_| self.shards.doubt())?;
            let error = match replies.into_iter().next_back() {
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => error,
                None => return Err(LayerError::UnexpectedReply("a command")),
            };
            if is_unknown_script(&error)
                && let Some(by_text) = request.by_text()
            {
                command = Cow::Owned(by_text);
                continue;
            }
            let redirection = Redirection::of(&error).filter(|_| self.shards.is_cluster());
            let Some(redirection) = redirection.filter(|_| Instant::now() < end) else {
                return Err(connections.failed(error));
            };
            if redirection != Redirection::Asks {
                self.shards.doubt();
            }
            connections = if let Some((address, _slot)) =
                error.redirect_node().filter(|_| redirection != Redirection::Later)
            {
                self.shards.connections_at(address, connections.place())
            } else {
                sleep(pause).await;
                pause *= 2;
                self.shards.connections_for(request.key())
            };
            is_asking = redirection == Redirection::Asks;
        }
    }
}

/// Why a Cluster did not carry a command out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Redirection {
    /// Another shard has the slot.
    Moved,
    /// Another shard has the key already, while the slot moves.
    Asks,
    /// Some of the keys have moved, or no server has the slot for a moment.
    Later,
}

impl Redirection {
    fn of(error: &RedisError) -> Option<Self> {
        let ErrorKind::Server(kind) = error.kind() else { return None };
        match kind {
            ServerErrorKind::Moved => Some(Self::Moved),
            ServerErrorKind::Ask => Some(Self::Asks),
            ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown => Some(Self::Later),
            _ => None,
        }
    }
}

/// Returns a command of these words.
pub(super) fn command<const N: usize>(words: [&[u8]; N]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

/// Reads replies of one type.
pub(super) fn read_all<T: FromRedisValue>(replies: Vec<Value>) -> Result<Vec<T>, LayerError> {
    replies.into_iter().map(|reply| read(Ok(reply))).collect()
}

/// Reads a reply.
pub(super) fn read_one<T: FromRedisValue>(reply: Value) -> Result<T, LayerError> {
    read(Ok(reply))
}

/// Reads the next reply.
pub(super) fn read_next<T: FromRedisValue>(
    replies: &mut impl Iterator<Item = Value>,
) -> Result<T, LayerError> {
    read(replies.next().ok_or(LayerError::UnexpectedReply("a command")))
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn read<T: FromRedisValue>(reply: Result<Value, LayerError>) -> Result<T, LayerError> {
    from_redis_value(reply?).map_err(|error| RedisError::from(error).into())
}

fn lane_for(replicas: usize) -> Lane {
    if replicas == 0 { Lane::Shared } else { Lane::Replicated(replicas) }
}
