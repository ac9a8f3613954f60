//! A port that speaks TLS where the URL is one without, and the reverse. Redis does not say so: it
//! closes connections to the one, and at the other it waits for the end of a command.

use std::io;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::layer::redis::dial::dial_tcp;
use crate::layer::redis::fault::{Fault, permanent};
use crate::layer::redis::tls::{self, SPEAKS_NO_TLS};

/// What to do about a port with TLS.
pub(super) const SPEAKS_TLS: &str = "this port speaks TLS: begin REDIS_URL with rediss instead of redis";
/// Time in which a server has to show what it speaks.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Returns whether this is what is wrong with a server that does not answer.
pub(super) async fn find(server: &ConnectionInfo) -> Option<Fault> {
    let look = async {
        match server.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let is_tls = tls::is_spoken(dial_tcp(host, *port).await.ok()?).await;
                is_tls.then(|| permanent(SPEAKS_TLS))
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                let is_plain = replies(dial_tcp(host, *port).await.ok()?).await.unwrap_or_default();
                is_plain.then(|| permanent(SPEAKS_NO_TLS))
            }
            _ => None,
        }
    };
    timeout(ANSWER_TIMEOUT, look).await.ok().flatten()
}

/// Returns whether Redis replies to a `PING`, if only by an error.
async fn replies(mut tcp: TcpStream) -> io::Result<bool> {
    tcp.write_all(b"PING\r\n").await?;
    Ok(matches!(tcp.read_u8().await?, b'+' | b'-'))
}
