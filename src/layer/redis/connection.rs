//! A connection of the client library, on a stream that this node opens itself.

use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisFuture, RedisResult, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

/// A connection that its clones share; the last one ends it.
#[derive(Clone)]
pub(super) struct Connection {
    shared: MultiplexedConnection,
    /// Moves commands and replies.
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Connection {
    /// Authenticates and selects the database on this stream.
    ///
    /// # Errors
    /// Fails when Redis refuses.
    pub(super) async fn open(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        settings: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<Self> {
        let (shared, driver) = MultiplexedConnection::new_with_config(settings, stream, config).await?;
        Ok(Self { shared, _driver: Arc::new(AbortOnDropHandle::new(tokio::spawn(driver))) })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.shared.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.shared.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.shared.get_db()
    }
}
