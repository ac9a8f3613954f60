//! Connections of the client library to one server of Redis: one that all callers share, taken from
//! a pool that replaces it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{PoolError, Timeouts};
use parking_lot::Mutex;
use redis::aio::ConnectionLike;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    RedisResult, Value, from_redis_value,
};

use crate::layer::error::LayerError;
use crate::layer::redis::answer_time::{COMMAND_TIMEOUT, Timed};
use crate::layer::redis::connection::Connection;
use crate::layer::redis::health::Health;
use crate::layer::redis::pool::{Manager, Pool, PooledConnection};
use crate::layer::redis::shards::Place;
use crate::telemetry::METRICS;
use crate::wire::time::millis;

/// Time in which replicas have to acknowledge a write.
const REPLICATION_TIMEOUT: Duration = Duration::from_millis(500);
/// Commands of one round trip. The commands of other callers come after them.
const MAX_TURN_COMMANDS: usize = 256;
/// Connections of the pool: those that wait for replicas.
const MAX_POOL_CONNECTIONS: usize = 16;

/// The connection that commands use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The one that all callers share, which sends the commands of many callers in one write.
    Shared,
    /// Another one, for large answers, which the other commands do not wait for.
    Bulk,
    /// One for these commands alone, which then waits until so many replicas have what they wrote.
    Replicated(usize),
}

/// Connections to a server.
///
/// The pool checks a connection with a `PING` each time it hands one out.
/// That would double every publish, so the connection is kept until it ends, and only then is the
/// next one taken from the pool. With RESP3 the library reports when a connection has ended.
pub(super) struct Connections {
    place: Place,
    health: Health,
    state: Arc<Mutex<ConnectionState>>,
    /// Held by the caller that opens a connection; the others wait for what it gets. Why the last
    /// one failed.
    opening: tokio::sync::Mutex<Option<(Instant, LayerError)>>,
}

#[derive(Default)]
struct ConnectionState {
    shared: Option<Connection>,
    /// The connection for large answers.
    bulk: Option<Connection>,
    /// The pool of the current master, as far as it is known, with the server's name.
    pool: Option<(String, Pool)>,
}

impl Connections {
    pub(super) fn new(place: Place) -> Self {
        Self { place, health: Health::new(), state: Arc::default(), opening: tokio::sync::Mutex::default() }
    }

    /// Returns where they lead.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Returns what is known of the server.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    fn manager(&self, server: ConnectionInfo) -> Manager {
        let state = Arc::downgrade(&self.state);
        let on_push = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection
                && let Some(state) = state.upgrade()
            {
                let mut state = state.lock();
                (state.shared, state.bulk) = (None, None);
            }
            Ok::<(), ()>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None) // see `Timed`
            .set_push_sender(on_push);
        Manager { address: self.place.address().clone(), server, config }
    }

    /// Drops the connections to a server that is not the master any more.
    ///
    /// A frozen master that wakes up takes writes until it is demoted; all of them would be lost.
    pub(super) async fn check_master(&self) {
        let Some(name) = self.state.lock().pool.as_ref().map(|(name, _)| name.clone()) else { return };
        if self.place.has_moved(&name).await {
            *self.state.lock() = ConnectionState::default();
        }
    }

    /// Returns a pool of connections to the current master, and the master's name.
    async fn pool(&self) -> RedisResult<(String, Pool)> {
        let server = self.place.server().await?;
        let name = server.addr().to_string();
        let mut state = self.state.lock();
        if let Some((known, pool)) = &state.pool
            && *known == name
        {
            return Ok((name, pool.clone()));
        }
        let timeout = Some(COMMAND_TIMEOUT);
        let pool = Pool::builder(self.manager(server))
            .max_size(MAX_POOL_CONNECTIONS)
            .timeouts(Timeouts { wait: timeout, create: timeout, recycle: timeout })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with timeouts has a runtime");
        state.pool = Some((name.clone(), pool.clone()));
        Ok((name, pool))
    }

    /// Runs one command.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LayerError> {
        let value = self.run(Lane::Shared, &[command]).await?.pop().unwrap_or(Ok(Value::Nil));
        let read = |value| Ok(from_redis_value(value)?);
        value.and_then(read).map_err(|error| self.failed(error))
    }

    /// Sends commands in as few writes as there may be; returns the reply to each.
    ///
    /// # Errors
    /// Fails when not all replies arrive.
    pub(super) async fn run(
        &self,
        lane: Lane,
        commands: &[&Cmd],
    ) -> Result<Vec<RedisResult<Value>>, LayerError> {
        match lane {
            Lane::Shared => run_on(self, &mut self.shared(|state| &mut state.shared).await?, commands).await,
            Lane::Bulk => run_on(self, &mut self.shared(|state| &mut state.bulk).await?, commands).await,
            Lane::Replicated(replicas) => {
                // Boxed: opening a connection is 7 KB of future, which every caller would hold.
                let (_, mut connection) = Box::pin(self.pooled()).await?;
                let replies = run_on(self, &mut connection, commands).await?;
                if replies.iter().all(Result::is_ok) {
                    self.wait(&mut connection, replicas).await?;
                }
                Ok(replies)
            }
        }
    }

    /// Returns when this many replicas have what this connection wrote. `WAIT` blocks its
    /// connection, so that has to be one of its own.
    async fn wait(
        &self,
        connection: &mut Timed<PooledConnection>,
        replicas: usize,
    ) -> Result<(), LayerError> {
        let mut wait = Cmd::new();
        wait.arg("WAIT").arg(replicas).arg(millis(REPLICATION_TIMEOUT));
        let reply = run_on(self, connection, &[&wait]).await?.pop().unwrap_or(Ok(Value::Nil));
        let read = |value| Ok(from_redis_value(value)?);
        let reached: usize = reply.and_then(read).map_err(|error| self.failed(error))?;
        if reached < replicas {
            return Err(LayerError::TimedOut("replicate a write"));
        }
        Ok(())
    }

    /// Returns one of the connections that callers share.
    async fn shared(
        &self,
        shared: fn(&mut ConnectionState) -> &mut Option<Connection>,
    ) -> Result<Timed<Connection>, LayerError> {
        if let Some(connection) = shared(&mut self.state.lock()) {
            return Ok(Timed(connection.clone()));
        }
        let asked_at = Instant::now();
        let mut opening = self.opening.lock().await;
        if let Some(connection) = shared(&mut self.state.lock()) {
            return Ok(Timed(connection.clone()));
        }
        if let Some((failed_at, error)) = &*opening
            && *failed_at >= asked_at
        {
            return Err(error.clone());
        }
        let (name, connection) = Box::pin(self.pooled())
            .await
            .inspect_err(|error| *opening = Some((Instant::now(), error.clone())))?;
        // Taken: the pool would lend it to those that wait for replicas, too.
        let connection = connection.0.take();
        let mut state = self.state.lock();
        let is_current = state.pool.as_ref().is_some_and(|(current, _)| *current == name);
        if is_current {
            *shared(&mut state) = Some(connection.clone());
        }
        Ok(Timed(connection))
    }

    /// Returns a connection from the pool, and the name of its server.
    async fn pooled(&self) -> Result<(String, Timed<PooledConnection>), LayerError> {
        let (name, pool) = self.pool().await?;
        let connection = pool.get().await?;
        // The master may have changed meanwhile.
        if self.place.has_moved(&name).await {
            return Err(LayerError::Unreachable("another server is the master now".into()));
        }
        Ok((name, Timed(connection)))
    }

    /// Returns the error of a command that failed. Connections that it shows to be of no use are
    /// dropped.
    pub(super) fn failed(&self, error: RedisError) -> LayerError {
        // A demoted master: the next connection asks for the current one.
        let is_demoted = error.code() == Some("READONLY");
        if is_demoted || error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() {
            let mut state = self.state.lock();
            (state.shared, state.bulk) = (None, None);
            if is_demoted {
                state.pool = None; // its idle connections lead to the same server
            }
        }
        let error = LayerError::from(error);
        self.health.on_error(&error);
        error
    }
}

/// Sends commands on a connection; returns the reply to each.
async fn run_on(
    connections: &Connections,
    connection: &mut (impl ConnectionLike + Send),
    commands: &[&Cmd],
) -> Result<Vec<RedisResult<Value>>, LayerError> {
    let mut replies = Vec::with_capacity(commands.len());
    for turn in commands.chunks(MAX_TURN_COMMANDS) {
        let sent_at = Instant::now();
        let answered = if let [command] = turn {
            match Box::pin(connection.req_packed_command(command)).await {
                Ok(value) => Ok(vec![value.extract_error()]),
                // Redis' own refusal says nothing about the connection.
                Err(error) if error.code().is_some() => Ok(vec![Err(error)]),
                Err(error) => Err(error),
            }
        } else {
            let mut pipeline = Pipeline::with_capacity(turn.len());
            for command in turn {
                pipeline.add_command((*command).clone());
            }
            let values = connection.req_packed_commands(&pipeline, 0, turn.len()).await;
            values.map(|values| values.into_iter().map(Value::extract_error).collect())
        };
        METRICS.redis_round_trip.observe(sent_at.elapsed().as_secs_f64());
        replies.extend(answered.map_err(|error| connections.failed(error))?);
    }
    Ok(replies)
}

/// A pool without a connection has no server, or one that is not ready.
impl From<PoolError<RedisError>> for LayerError {
    fn from(error: PoolError<RedisError>) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::TimedOut("accept a connection"),
            other => Self::unreachable(&other),
        }
    }
}
