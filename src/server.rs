//! The server: binds, accepts, serves each connection in a task of its own, and ends well.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::error::StartError;
use crate::frame::Close;
use crate::http;
use crate::node::Node;
use crate::stream::Stream;
use crate::telemetry::Chain;

/// For the whole head of a request, and for the next one on an idle connection. A proxy must let go
/// of idle connections sooner.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 16 * 1024;
/// Connections that the kernel holds while all workers are busy: a reconnecting crowd.
const BACKLOG: u32 = 8192;
/// All sockets and requests end within this, or are cut off.
const ENDING: Duration = Duration::from_secs(8);

/// The listening sockets of a node.
pub(crate) struct Server {
    node: Arc<Node>,
    listeners: Vec<TcpListener>,
    places: Arc<Semaphore>,
}

impl Server {
    /// Binds every address of the settings.
    ///
    /// # Errors
    /// [`StartError`] for an address that cannot be had.
    pub(crate) fn bind(node: Arc<Node>) -> Result<Self, StartError> {
        let listeners = node.config().listen.iter().map(|address| {
            listen(*address).map_err(|error| {
                let what = format!(
                    "could not listen on {address}; free it, or give --listen (PARLOR_LISTEN) another"
                );
                StartError::new(what).because(error)
            })
        });
        let places = Arc::new(Semaphore::new(node.config().max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { listeners: listeners.collect::<Result<_, _>>()?, node, places })
    }

    /// The addresses that were bound.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok())
    }

    /// Serves until `stop` completes, then ends: no more connections, 1001 to every socket, running
    /// requests are finished, the node leaves every group.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        for listener in self.listeners {
            let (node, places, stopped) = (Arc::clone(&self.node), Arc::clone(&self.places), stopped.clone());
            tokio::spawn(accept(node, listener, places, stopped));
        }
        tokio::select! {
            () = self.node.pulse() => {}
            () = stop => {}
        }
        info!("stopping");
        stopping.send_replace(true);
        self.node.hub().close(&Close::new(1001, "the server is going away"));
        if timeout(ENDING, self.node.finish()).await.is_err() {
            warn!("some connections did not end in time and were cut off");
        }
        self.node.layer().close().await;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(
    node: Arc<Node>,
    listener: TcpListener,
    places: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((tcp, _)) => {
                let serving = serve(Arc::clone(&node), tcp, Arc::clone(&places), stopped.clone());
                node.track(serving);
            }
            // The process is out of file descriptors, or the peer is gone already. Both pass.
            Err(error) => {
                warn!(%error, "could not accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves the requests of one connection; a socket goes on in a task of its own.
async fn serve(node: Arc<Node>, tcp: TcpStream, places: Arc<Semaphore>, mut stopped: watch::Receiver<bool>) {
    let permit = places.try_acquire_owned().ok();
    let full = permit.is_none();
    let Ok(stream) = Stream::new(tcp, permit) else { return };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_header_size(MAX_HEAD)
        .serve_connection(
            TokioIo::new(stream.clone()),
            service_fn(move |request| http::serve(Arc::clone(&node), request, full)),
        )
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let stop = async { stopped.wait_for(|stopped| *stopped).await.is_ok() };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(error = %Chain(&error), "a connection ended badly");
        // hyper closes without a word when a head does not come in time.
        if error.is_timeout() && stream.asked() {
            let answer = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.try_write(answer); // it may be gone
        }
    }
}
