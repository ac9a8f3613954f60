//! Commands to Redis: one connection that all callers share, taken from a pool that replaces it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, Timeouts};
use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    RedisResult, ScriptInvocation,
};

use super::address::RedisAddress;
use crate::layer::error::LayerError;
use crate::telemetry::METRICS;
use crate::wire::time::millis;

/// How long a command may take: publishers are told within about a second.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long replicas may take to have what was written.
const REPLICATION: Duration = Duration::from_millis(500);

/// Runs commands; callers share one connection, which sends what many of them ask in one write.
///
/// The pool checks a connection with a `PING` each time it hands one out (deadpool-redis 0.23). That
/// would double every publish, so the connection is kept until it ends, and only then is the next one
/// taken from the pool. RESP3 is there because with it the library says when a connection has ended.
pub(super) struct Commands {
    address: RedisAddress,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    kept: Option<MultiplexedConnection>,
    /// The pool of the server that is the master now, as far as we know.
    pool: Option<(String, Pool)>,
}

impl Commands {
    pub(super) fn new(address: RedisAddress) -> Self {
        Self { address, state: Arc::default() }
    }

    /// Where commands go.
    pub(super) fn address(&self) -> &RedisAddress {
        &self.address
    }

    fn manager(info: ConnectionInfo, state: &Arc<Mutex<State>>) -> RedisResult<Manager> {
        let state = Arc::downgrade(state);
        let ended = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection
                && let Some(state) = state.upgrade()
            {
                state.lock().kept = None;
            }
            Ok::<(), ()>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(ended);
        Manager::new_with_config(info, config)
    }

    /// Lets go of a server that is not the master any more. One that was frozen wakes up as the master that it was,
    /// and takes writes until the Sentinels tell it otherwise: all of them would be lost.
    pub(super) async fn check_master(&self) {
        let Some(name) = self.state.lock().pool.as_ref().map(|(name, _)| name.clone()) else { return };
        if self.address.has_moved(&name).await {
            *self.state.lock() = State::default();
        }
    }

    /// A pool of connections to whoever is the master now.
    async fn pool(&self) -> Result<(String, Pool), PoolError> {
        let server = self.address.server().await?;
        let name = server.addr().to_string();
        let mut state = self.state.lock();
        if let Some((known, pool)) = &state.pool
            && *known == name
        {
            return Ok((name, pool.clone()));
        }
        let pool = Pool::builder(Self::manager(server, &self.state)?)
            .max_size(16)
            .timeouts(Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with timeouts has a runtime");
        state.pool = Some((name.clone(), pool.clone()));
        Ok((name, pool))
    }

    /// Whether Redis answers.
    pub(super) async fn ping(&self) -> Result<(), PoolError> {
        let mut connection = self.pool().await?.1.get().await?;
        Cmd::new().arg("PING").query_async::<()>(&mut connection).await?;
        Ok(())
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LayerError> {
        let mut connection = self.connection().await?;
        let asked = Instant::now();
        self.checked(asked, Box::pin(command.query_async(&mut connection)).await)
    }

    pub(super) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), LayerError> {
        let mut publish = Cmd::new();
        publish.arg("PUBLISH").arg(channel).arg(payload);
        self.command(&publish).await
    }

    pub(super) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, LayerError> {
        let mut connection = self.connection().await?;
        let asked = Instant::now();
        self.checked(asked, Box::pin(pipeline.query_async(&mut connection)).await)
    }

    pub(super) async fn script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, LayerError> {
        let mut connection = self.connection().await?;
        let asked = Instant::now();
        self.checked(asked, Box::pin(script.invoke_async(&mut connection)).await)
    }

    /// Runs a script and returns when so many replicas have what it wrote. `WAIT` holds its connection
    /// up, so it has one of its own.
    pub(super) async fn replicated<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        replicas: usize,
    ) -> Result<T, LayerError> {
        let (_, mut connection) = Box::pin(self.fresh()).await?;
        let asked = Instant::now();
        let answer = self.checked(asked, Box::pin(script.invoke_async(&mut connection)).await)?;
        let mut wait = Cmd::new();
        wait.arg("WAIT").arg(replicas).arg(millis(REPLICATION));
        let reached: usize = self.checked(
            asked,
            connection
                .req_packed_command(&wait)
                .await
                .and_then(|value| redis::from_redis_value(value).map_err(RedisError::from)),
        )?;
        if reached < replicas {
            return Err(LayerError::TimedOut("replicate a write"));
        }
        Ok(answer)
    }

    async fn connection(&self) -> Result<MultiplexedConnection, LayerError> {
        if let Some(connection) = &self.state.lock().kept {
            return Ok(connection.clone());
        }
        // Boxed: making a connection is 7 KB of future, too much for everybody who may have to wait for one.
        let (name, connection) = Box::pin(self.fresh()).await?;
        let mut state = self.state.lock();
        let is_current = state.pool.as_ref().is_some_and(|(current, _)| *current == name);
        if is_current {
            state.kept = Some((*connection).clone());
        }
        Ok((*connection).clone())
    }

    /// A connection from the pool, and to whom it leads.
    async fn fresh(&self) -> Result<(String, Connection), LayerError> {
        let (name, pool) = self.pool().await?;
        let connection = pool.get().await?;
        // It may have taken until there was another master.
        if self.address.has_moved(&name).await {
            return Err(LayerError::Unreachable("another server is the master now".into()));
        }
        Ok((name, connection))
    }

    fn checked<T>(&self, asked: Instant, answer: Result<T, RedisError>) -> Result<T, LayerError> {
        METRICS.redis_round_trip.observe(asked.elapsed().as_secs_f64());
        answer.map_err(|error| {
            // A master that was demoted is not one any more: ask who is.
            let demoted = error.code() == Some("READONLY");
            if demoted || error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() {
                let mut state = self.state.lock();
                state.kept = None;
                if demoted {
                    state.pool = None; // its idle connections lead to the same server
                }
            }
            LayerError::from(error)
        })
    }
}

/// A pool that has no connection has no server, or one that is not ready.
impl From<PoolError> for LayerError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::TimedOut("accept a connection"),
            other => Self::unreachable(&other),
        }
    }
}

/// The innermost cause in the words of the operating system: `connection refused`.
pub(super) fn reason(error: &PoolError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
