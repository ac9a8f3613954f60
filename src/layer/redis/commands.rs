//! Commands to Redis: one connection that all callers share, taken from a pool that replaces it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, Timeouts};
use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    RedisResult, Script, ScriptInvocation, Value,
};

use crate::config::redis_address::RedisAddress;
use crate::layer::error::LayerError;
use crate::layer::redis::answer_time::{COMMAND_TIMEOUT, Timed};
use crate::layer::redis::dial::{current_server, has_moved};
use crate::layer::redis::health::Health;
use crate::layer::redis::keys::Keys;
use crate::telemetry::METRICS;
use crate::wire::time::millis;

/// Time in which replicas have to acknowledge a write.
const REPLICATION_TIMEOUT: Duration = Duration::from_millis(500);
/// Commands of one round trip. The commands of other callers come after them.
const MAX_TURN_COMMANDS: usize = 256;
/// Connections of the pool: those that wait for replicas.
const MAX_POOL_CONNECTIONS: usize = 16;

/// Runs commands; callers share one connection, which sends the commands of many callers in one
/// write. Scripts with large answers have a connection of their own, which the others do not wait
/// for.
///
/// The pool checks a connection with a `PING` each time it hands one out (deadpool-redis 0.23).
/// That would double every publish, so the connection is kept until it ends, and only then is the
/// next one taken from the pool. With RESP3 the library reports when a connection has ended.
pub(super) struct Commands {
    address: RedisAddress,
    keys: Keys,
    health: Health,
    state: Arc<Mutex<ConnectionState>>,
    /// Held by the caller that opens a connection; the others wait for what it gets. Why the last
    /// one failed.
    opening: tokio::sync::Mutex<Option<(Instant, LayerError)>>,
}

#[derive(Default)]
struct ConnectionState {
    shared: Option<MultiplexedConnection>,
    /// The connection for large answers.
    bulk: Option<MultiplexedConnection>,
    /// The pool of the current master, as far as it is known, with the server's name.
    pool: Option<(String, Pool)>,
}

impl Commands {
    pub(super) fn new(address: RedisAddress, keys: Keys) -> Self {
        Self {
            address,
            keys,
            health: Health::new(),
            state: Arc::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Returns what the keys of commands are made by.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns what is known of the server.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Returns where commands go.
    pub(super) fn address(&self) -> &RedisAddress {
        &self.address
    }

    fn manager(info: ConnectionInfo, state: &Arc<Mutex<ConnectionState>>) -> RedisResult<Manager> {
        let state = Arc::downgrade(state);
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
            .set_connection_timeout(Some(COMMAND_TIMEOUT))
            .set_response_timeout(None) // see `Timed`
            .set_push_sender(on_push);
        Manager::new_with_config(info, config)
    }

    /// Drops the connections to a server that is not the master any more.
    ///
    /// A frozen master that wakes up takes writes until the Sentinels demote it; all of them would
    /// be lost.
    pub(super) async fn check_master(&self) {
        let Some(name) = self.state.lock().pool.as_ref().map(|(name, _)| name.clone()) else { return };
        if has_moved(&self.address, &name).await {
            *self.state.lock() = ConnectionState::default();
        }
    }

    /// Returns a pool of connections to the current master, and the master's name.
    async fn pool(&self) -> Result<(String, Pool), PoolError> {
        let server = current_server(&self.address).await?;
        let name = server.addr().to_string();
        let mut state = self.state.lock();
        if let Some((known, pool)) = &state.pool
            && *known == name
        {
            return Ok((name, pool.clone()));
        }
        let timeout = Some(COMMAND_TIMEOUT);
        let pool = Pool::builder(Self::manager(server, &self.state)?)
            .max_size(MAX_POOL_CONNECTIONS)
            .timeouts(Timeouts { wait: timeout, create: timeout, recycle: timeout })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with timeouts has a runtime");
        state.pool = Some((name.clone(), pool.clone()));
        Ok((name, pool))
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LayerError> {
        let mut connection = self.connection().await?;
        let sent_at = Instant::now();
        self.checked(sent_at, Box::pin(command.query_async(&mut connection)).await)
    }

    pub(super) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), LayerError> {
        let mut publish = Cmd::new();
        publish.arg("PUBLISH").arg(channel).arg(payload);
        self.command(&publish).await
    }

    pub(super) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, LayerError> {
        let mut connection = self.connection().await?;
        let sent_at = Instant::now();
        self.checked(sent_at, Box::pin(pipeline.query_async(&mut connection)).await)
    }

    /// Runs commands in as few round trips as there may be; returns what came of each.
    pub(super) async fn each<T: FromRedisValue>(
        &self,
        commands: &[Cmd],
    ) -> Result<Vec<Result<T, LayerError>>, LayerError> {
        let mut replies = Vec::with_capacity(commands.len());
        for turn in commands.chunks(MAX_TURN_COMMANDS) {
            let mut pipeline = Pipeline::with_capacity(turn.len());
            pipeline.ignore_errors();
            for command in turn {
                pipeline.add_command(command.clone());
            }
            let values: Vec<Value> = self.pipeline(&pipeline).await?;
            let read = |value: Value| Ok(redis::from_redis_value(value.extract_error()?)?);
            replies.extend(values.into_iter().map(|value| read(value).map_err(|error| self.failed(error))));
        }
        Ok(replies)
    }

    /// Loads a script, which commands then call by its hash.
    pub(super) async fn load(&self, script: &Script) -> Result<(), LayerError> {
        let mut connection = self.connection().await?;
        let sent_at = Instant::now();
        self.checked(sent_at, script.load_async(&mut connection).await).map(|_| ())
    }

    pub(super) async fn script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, LayerError> {
        let mut connection = self.connection().await?;
        let sent_at = Instant::now();
        self.checked(sent_at, Box::pin(script.invoke_async(&mut connection)).await)
    }

    /// Runs a script, and with `replicas` waits until so many have what it wrote.
    pub(super) async fn written<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        replicas: usize,
    ) -> Result<T, LayerError> {
        match replicas {
            0 => self.script(script).await,
            replicas => self.replicated(script, replicas).await,
        }
    }

    /// Runs a command that writes, and with `replicas` waits until so many have what it wrote.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        command: &Cmd,
        replicas: usize,
    ) -> Result<T, LayerError> {
        if replicas == 0 {
            return self.command(command).await;
        }
        let (_, mut connection) = Box::pin(self.pooled()).await?;
        let sent_at = Instant::now();
        let answer = self.checked(sent_at, command.query_async(&mut connection).await)?;
        self.wait(&mut connection, replicas).await?;
        Ok(answer)
    }

    /// Runs a script whose answer may be large.
    pub(super) async fn bulk_script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, LayerError> {
        let mut connection = self.connection_of(|state| &mut state.bulk).await?;
        let sent_at = Instant::now();
        self.checked(sent_at, Box::pin(script.invoke_async(&mut connection)).await)
    }

    /// Runs a script and returns when this many replicas have what it wrote. `WAIT` blocks its
    /// connection, so it has one of its own.
    pub(super) async fn replicated<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        replicas: usize,
    ) -> Result<T, LayerError> {
        let (_, mut connection) = Box::pin(self.pooled()).await?;
        let sent_at = Instant::now();
        let answer = self.checked(sent_at, Box::pin(script.invoke_async(&mut connection)).await)?;
        self.wait(&mut connection, replicas).await?;
        Ok(answer)
    }

    /// Returns when this many replicas have what this connection wrote.
    async fn wait(&self, connection: &mut Timed<Connection>, replicas: usize) -> Result<(), LayerError> {
        let mut wait = Cmd::new();
        wait.arg("WAIT").arg(replicas).arg(millis(REPLICATION_TIMEOUT));
        let sent_at = Instant::now();
        let reached: usize = self.checked(
            sent_at,
            connection
                .req_packed_command(&wait)
                .await
                .and_then(|value| redis::from_redis_value(value).map_err(RedisError::from)),
        )?;
        if reached < replicas {
            return Err(LayerError::TimedOut("replicate a write"));
        }
        Ok(())
    }

    /// Returns the shared connection.
    async fn connection(&self) -> Result<Timed<MultiplexedConnection>, LayerError> {
        self.connection_of(|state| &mut state.shared).await
    }

    /// Returns one of the connections that callers share.
    async fn connection_of(
        &self,
        shared: fn(&mut ConnectionState) -> &mut Option<MultiplexedConnection>,
    ) -> Result<Timed<MultiplexedConnection>, LayerError> {
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
        // Boxed: opening a connection is 7 KB of future, which every caller would have to hold.
        let (name, connection) = Box::pin(self.pooled())
            .await
            .inspect_err(|error| *opening = Some((Instant::now(), error.clone())))?;
        // Taken: the pool would lend it to those that wait for replicas, too.
        let connection = Connection::take(connection.0);
        let mut state = self.state.lock();
        let is_current = state.pool.as_ref().is_some_and(|(current, _)| *current == name);
        if is_current {
            *shared(&mut state) = Some(connection.clone());
        }
        Ok(Timed(connection))
    }

    /// Returns a connection from the pool, and the name of its server.
    async fn pooled(&self) -> Result<(String, Timed<Connection>), LayerError> {
        let (name, pool) = self.pool().await?;
        let connection = pool.get().await?;
        // The master may have changed meanwhile.
        if has_moved(&self.address, &name).await {
            return Err(LayerError::Unreachable("another server is the master now".into()));
        }
        Ok((name, Timed(connection)))
    }

    fn checked<T>(&self, sent_at: Instant, answer: Result<T, RedisError>) -> Result<T, LayerError> {
        METRICS.redis_round_trip.observe(sent_at.elapsed().as_secs_f64());
        answer.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: RedisError) -> LayerError {
        // A demoted master: the next connection asks the Sentinels.
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

/// A pool without a connection has no server, or one that is not ready.
impl From<PoolError> for LayerError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::TimedOut("accept a connection"),
            other => Self::unreachable(&other),
        }
    }
}
