//! Reaching Redis: the current master by its Sentinels, and a connection to it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::redis_address::{RedisAddress, shown};
use crate::layer::redis::connection::Connection;
use crate::layer::redis::fault::permanent;
use crate::layer::redis::tls::TlsConnection;

/// Time in which a Sentinel has to accept a connection, and to answer.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(500);
/// Time after which the next address of a name is tried beside those before it (RFC 8305).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// Returns the server to connect to: the only one, or the current master.
///
/// # Errors
/// Fails when no Sentinel knows the master.
pub(super) async fn current_server(address: &RedisAddress) -> RedisResult<ConnectionInfo> {
    if address.sentinels.is_empty() {
        return Ok(address.server.clone());
    }
    let mut last = RedisError::from((ErrorKind::Io, "no Sentinel was asked"));
    for sentinel in &address.sentinels {
        match ask_sentinel(address, sentinel).await {
            Ok(server) => return Ok(server),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns a connection of the client library, for a question with a deadline.
///
/// # Errors
/// Fails when the server cannot be reached in time.
pub(super) async fn connect_within(
    limit: Duration,
    address: &RedisAddress,
    server: &ConnectionInfo,
) -> RedisResult<Connection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(limit));
    timeout(limit, connect(address, server, config)).await.unwrap_or_else(|_| {
        let cause = format!("{} did not accept the connection in time", shown(server.addr()));
        Err(io::Error::new(io::ErrorKind::TimedOut, cause).into())
    })
}

/// Asks one Sentinel with a deadline, which the client library's own Sentinel client does not have:
/// a frozen Sentinel would keep the node from the others.
async fn ask_sentinel(address: &RedisAddress, sentinel: &ConnectionInfo) -> RedisResult<ConnectionInfo> {
    let mut question = Cmd::new();
    question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&address.name);
    let answered = async {
        let mut connection = connect_within(SENTINEL_TIMEOUT, address, sentinel).await?;
        question.query_async(&mut connection).await
    };
    let answer: RedisResult<Option<(String, u16)>> = answered.await;
    let answer = answer.map_err(|error| {
        let place = shown(sentinel.addr());
        let cause = match error.code() {
            Some("NOAUTH") => format!(
                "NOAUTH: the Sentinel at {place} requires a password of its own; give it in \
                 --redis-sentinel-password-file, or in REDIS_URL as ?sentinel_password=PASSWORD"
            ),
            Some("WRONGPASS" | "NOPERM") => format!(
                "the Sentinel at {place} refuses: {error}; check sentinel_username and the Sentinels' password"
            ),
            _ => return error,
        };
        permanent(cause).into_io(io::ErrorKind::PermissionDenied).into()
    })?;
    let (host, port) = answer.ok_or((ErrorKind::Io, "the Sentinel knows no master of this name"))?;
    Ok(address.server_at(&host, port))
}

/// Returns whether another server than the connected one may be the master now. A single server
/// never moves; Sentinels that do not answer change nothing.
pub(super) async fn has_moved(address: &RedisAddress, connected: &str) -> bool {
    !address.sentinels.is_empty()
        && current_server(address).await.is_ok_and(|server| server.addr().to_string() != connected)
}

/// A connection of bytes.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to a server of this address, with TLS if that has it. Every connection to Redis is
/// opened here.
///
/// # Errors
/// Fails when it cannot be reached.
pub(super) async fn dial(address: &RedisAddress, server: &ConnectionInfo) -> io::Result<Box<dyn Io>> {
    Ok(match (server.addr(), &address.tls) {
        (ConnectionAddr::Tcp(host, port), _) => Box::new(dial_tcp(host, *port).await?),
        (ConnectionAddr::TcpTls { host, port, .. }, Some(tls)) => {
            Box::new(TlsConnection::open(tls, host, dial_tcp(host, *port).await?).await?)
        }
        (ConnectionAddr::Unix(path), _) => Box::new(UnixStream::connect(path).await?),
        _ => return Err(io::Error::other("an address of another kind")),
    })
}

/// Connects to a host by one of its addresses.
///
/// # Errors
/// Fails when none answers.
pub(super) async fn dial_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    first_to_answer(lookup_host((host, port)).await?).await
}

/// Connects to the first address that answers. The next one is tried when one before it refuses, or
/// after a moment.
async fn first_to_answer(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.peekable();
    let mut attempts = JoinSet::new();
    let mut last = io::Error::other("the name has no address");
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            attempt = attempts.join_next() => match attempt {
                Some(Ok(Ok(tcp))) => {
                    tcp.set_nodelay(true)?;
                    return Ok(tcp);
                }
                Some(Ok(Err(error))) => last = error,
                Some(Err(panic)) => last = panic.into(),
                None => return Err(last),
            },
            () = sleep(NEXT_ADDRESS_DELAY), if addresses.peek().is_some() => {}
        }
    }
}

/// Opens a connection of the client library to a server of this address.
///
/// # Errors
/// Fails when it cannot be reached, or refuses.
pub(super) async fn connect(
    address: &RedisAddress,
    server: &ConnectionInfo,
    config: AsyncConnectionConfig,
) -> RedisResult<Connection> {
    Connection::open(dial(address, server).await?, server.redis_settings(), config).await
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn addresses_that_do_not_answer_cost_a_moment_each() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        // A port that refuses, and one that accepts nothing more: its queue is full.
        let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(0).unwrap();
        let silent = full.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(tcp) = timeout(NEXT_ADDRESS_DELAY, TcpStream::connect(silent)).await {
            waiting.push(tcp.unwrap());
        }
        let begin = Instant::now();
        let addresses = [refusing, silent, refusing, silent, live];
        let tcp = first_to_answer(addresses.into_iter()).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), live);
        assert!(begin.elapsed() < NEXT_ADDRESS_DELAY * 4, "{:?}", begin.elapsed());
        let refused = first_to_answer([refusing, refusing].into_iter()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(first_to_answer(std::iter::empty()).await.is_err());
    }
}
