//! A pool of connections to one server.

use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use redis::aio::ConnectionLike;
use redis::{AsyncConnectionConfig, Cmd, ConnectionInfo, Pipeline, RedisError, RedisFuture, Value};

use crate::config::redis_address::RedisAddress;
use crate::layer::redis::connection::Connection;
use crate::layer::redis::dial::connect;

/// A pool of connections to one server.
pub(super) type Pool = managed::Pool<Manager, PooledConnection>;

/// Opens the connections of a pool.
pub(super) struct Manager {
    pub(super) address: RedisAddress,
    pub(super) server: ConnectionInfo,
    pub(super) config: AsyncConnectionConfig,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = RedisError;

    async fn create(&self) -> Result<Connection, RedisError> {
        connect(&self.address, &self.server, self.config.clone()).await
    }

    /// Sends a `PING` with a number: a connection whose replies are those of other commands is of
    /// no use.
    async fn recycle(&self, connection: &mut Connection, metrics: &Metrics) -> RecycleResult<RedisError> {
        let number = metrics.recycle_count;
        let mut ping = Cmd::new();
        let reply: usize = ping.arg("PING").arg(number).query_async(connection).await?;
        if reply == number { Ok(()) } else { Err(RecycleError::message("the reply is another command's")) }
    }
}

/// A connection that goes back to its pool.
pub(super) struct PooledConnection(Object<Manager>);

impl PooledConnection {
    /// Returns the connection, which the pool replaces by another one.
    pub(super) fn take(self) -> Connection {
        Object::take(self.0)
    }
}

impl From<Object<Manager>> for PooledConnection {
    fn from(object: Object<Manager>) -> Self {
        Self(object)
    }
}

impl ConnectionLike for PooledConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
