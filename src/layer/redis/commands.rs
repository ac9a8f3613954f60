//! Commands to Redis: one connection that all callers share, taken from a pool that replaces it.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Manager, Pool, PoolError, Runtime, Timeouts};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    RedisResult, ScriptInvocation,
};

use crate::error::{StartError, Unavailable};

/// How long a command may take: publishers are told within about a second.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs commands; callers share one connection, which sends what many of them ask in one write.
///
/// The pool checks a connection with a `PING` each time it hands one out (deadpool-redis 0.23). That
/// would double every publish, so the connection is kept until it ends, and only then is the next one
/// taken from the pool. RESP3 is there because with it the library says when a connection has ended.
pub(super) struct Commands {
    pool: Pool,
    kept: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl Commands {
    pub(super) fn new(info: ConnectionInfo) -> Result<Self, StartError> {
        let kept: Arc<Mutex<Option<MultiplexedConnection>>> = Arc::default();
        let manager = Self::manager(info, Arc::clone(&kept))
            .map_err(|error| StartError::new("`REDIS_URL` (--redis-url) is no Redis URL").because(error))?;
        let pool = Pool::builder(manager)
            .max_size(4)
            .timeouts(Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StartError::new("could not make a pool of Redis connections").because(error))?;
        Ok(Self { pool, kept })
    }

    fn manager(
        info: ConnectionInfo,
        kept: Arc<Mutex<Option<MultiplexedConnection>>>,
    ) -> RedisResult<Manager> {
        let ended = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                *kept.lock() = None;
            }
            Ok::<(), ()>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(ended);
        Manager::new_with_config(info, config)
    }

    /// Whether Redis answers.
    pub(super) async fn ping(&self) -> Result<(), PoolError> {
        let mut connection = self.pool.get().await?;
        Cmd::new().arg("PING").query_async::<()>(&mut connection).await?;
        Ok(())
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        let mut connection = self.connection().await?;
        self.checked(command.query_async(&mut connection).await)
    }

    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> Result<(), Unavailable> {
        let mut connection = self.connection().await?;
        self.checked(pipeline.query_async(&mut connection).await)
    }

    pub(super) async fn script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Unavailable> {
        let mut connection = self.connection().await?;
        self.checked(script.invoke_async(&mut connection).await)
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Unavailable> {
        if let Some(connection) = self.kept.lock().as_ref() {
            return Ok(connection.clone());
        }
        let connection =
            self.pool.get().await.map_err(|error| Unavailable::because("Redis cannot be reached", error))?;
        Ok(self.kept.lock().insert((*connection).clone()).clone())
    }

    fn checked<T>(&self, answer: Result<T, RedisError>) -> Result<T, Unavailable> {
        answer.map_err(|error| {
            if error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() {
                *self.kept.lock() = None;
            }
            Unavailable::because("Redis did not take a command", error)
        })
    }
}
