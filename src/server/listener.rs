//! The listener: binds, accepts, serves each connection in a task of its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::config::Config;
use crate::http::client_address::is_trusted;
use crate::http::connection::{Connection, Timeouts};
use crate::limits::{ConcurrencyLimiter, ConnectionSlot, network_of};
use crate::server::acceptance::Acceptance;
use crate::server::dispatch;
use crate::server::error::ServerError;
use crate::server::stage::Stage;
use crate::server::state::State;
use crate::telemetry::Chain;

/// The time in which the head of a request must be complete, on a new connection from its begin.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The same on a connection above the limit: probes are quick, and others may want its slot.
const REFUSED_HEAD_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_REQUEST_HEAD_BYTES: usize = 16 * 1024;
/// The time in which a client must take some of its response.
const RESPONSE_WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections above the limit, on which probes are served and all else is answered 503; further
/// ones are closed without an answer.
const MAX_REFUSED_CONNECTIONS: usize = 192;
/// Connections of addresses that have too many, which are answered 429; further ones are closed
/// without an answer.
const MAX_REFUSED_BY_ADDRESS: usize = 64;
/// File descriptors for everything but connections of clients.
const RESERVED_FILE_DESCRIPTORS: usize = 64;
/// Where descriptors are few, a quarter of them is reserved, and at least this many.
const MIN_RESERVED_FILE_DESCRIPTORS: usize = 32;
/// The limit of file descriptors where it cannot be read.
const ASSUMED_FILE_DESCRIPTORS: u64 = 1024;
/// Connections that the kernel queues while all workers are busy, as when a crowd reconnects.
const LISTEN_BACKLOG_CONNECTIONS: u32 = 8192;

/// The listening sockets of a node.
pub(crate) struct Listener {
    state: Arc<State>,
    listeners: Vec<TcpListener>,
    slots: ConnectionSlots,
}

/// The connections that may be open at once.
#[derive(Clone)]
struct ConnectionSlots {
    max: usize,
    served: Arc<Semaphore>,
    /// Connections above the limit, on which only probes are served.
    refused: Arc<Semaphore>,
    /// Connections of addresses that have too many.
    refused_by_address: Arc<Semaphore>,
    by_address: Arc<ConcurrencyLimiter>,
    /// Notified when the node is full: connections that wait for a next request give way.
    pressure: Arc<Notify>,
}

impl Listener {
    /// Binds every address of the settings.
    ///
    /// # Errors
    /// Returns [`ServerError::Listen`] for an address that cannot be bound.
    pub(crate) fn bind(state: Arc<State>) -> Result<Self, ServerError> {
        let context = &state.context;
        let addresses = &context.config().listen;
        // An address of IPv6 for all stands for IPv4 as well, unless the port has one of its own.
        let has_ipv4 = |port| addresses.iter().any(|other| other.is_ipv4() && other.port() == port);
        let listeners = addresses.iter().map(|&address| {
            listen(address, has_ipv4(address.port())).map_err(|cause| ServerError::Listen { address, cause })
        });
        let listeners = listeners.collect::<Result<_, _>>()?;
        let slots = ConnectionSlots::new(context.config());
        Ok(Self { state, listeners, slots })
    }

    /// Returns how many connections may be open at once.
    pub(crate) fn max_connections(&self) -> usize {
        self.slots.max
    }

    /// Returns the bound addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok())
    }

    /// Accepts connections; the returned sender ends that.
    pub(crate) fn serve(self) -> watch::Sender<Stage> {
        let (sender, listening) = watch::channel(Stage::Accepting);
        for listener in self.listeners {
            let (state, slots, listening) = (Arc::clone(&self.state), self.slots.clone(), listening.clone());
            self.state.context.track(accept(state, listener, slots, listening));
        }
        sender
    }
}

/// Raises the soft limit of file descriptors to the hard limit, and returns it.
fn raise_file_descriptor_limit() -> nix::Result<rlim_t> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

impl ConnectionSlots {
    /// Creates as many slots as the settings want, by default as many as the file descriptors
    /// allow.
    fn new(config: &Config) -> Self {
        let files = raise_file_descriptor_limit().unwrap_or_else(|error| {
            warn!(%error, "could not raise the limit of file descriptors");
            ASSUMED_FILE_DESCRIPTORS
        });
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let reserved = (MAX_REFUSED_CONNECTIONS + MAX_REFUSED_BY_ADDRESS + RESERVED_FILE_DESCRIPTORS)
            .min((files / 4).max(MIN_RESERVED_FILE_DESCRIPTORS));
        let allowed = files.saturating_sub(reserved);
        let served = config.max_connections.unwrap_or(allowed.max(1));
        if served > allowed {
            warn!(
                files,
                connections = served,
                "file descriptors may run out before --max-connections is reached: raise `ulimit -n`"
            );
        }
        Self {
            max: served,
            served: Arc::new(Semaphore::new(served.min(Semaphore::MAX_PERMITS))),
            refused: Arc::new(Semaphore::new(MAX_REFUSED_CONNECTIONS.min(reserved / 2))),
            refused_by_address: Arc::new(Semaphore::new(MAX_REFUSED_BY_ADDRESS.min(reserved / 8))),
            by_address: Arc::new(ConcurrencyLimiter::new(config.limits.connections_per_address(served))),
            pressure: Arc::default(),
        }
    }

    /// Takes a slot for a connection from this address, `None` for a trusted proxy. Returns `None`
    /// when all are taken.
    async fn take(&self, address: Option<IpAddr>) -> Option<(ConnectionSlot, Acceptance)> {
        if address.is_some_and(|address| !self.by_address.has_space(&network_of(address))) {
            let permit = Arc::clone(&self.refused_by_address).try_acquire_owned().ok()?;
            return Some((ConnectionSlot::new(permit, &self.by_address), Acceptance::AddressFull));
        }
        let slot = |slots: &Arc<Semaphore>| {
            let permit = Arc::clone(slots).try_acquire_owned().ok()?;
            Some(ConnectionSlot::new(permit, &self.by_address))
        };
        let mut served = slot(&self.served);
        if served.is_none() {
            self.pressure.notify_waiters();
            tokio::task::yield_now().await; // to those that give way
            served = slot(&self.served);
        }
        let Some(served) = served else { return Some((slot(&self.refused)?, Acceptance::NodeFull)) };
        let is_counted = address.is_none_or(|address| served.count_for(address));
        Some((served, if is_counted { Acceptance::Served } else { Acceptance::AddressFull }))
    }
}

/// Binds an address; with `only_v6`, one of IPv6 for that family only.
fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if address.is_ipv6() && only_v6 {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    socket.set_reuseaddr(true)?;
    // Frames are written whole, so Nagle's algorithm could only delay them. Connections have it
    // from their listener.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG_CONNECTIONS)
}

async fn accept(
    state: Arc<State>,
    listener: TcpListener,
    slots: ConnectionSlots,
    mut listening: watch::Receiver<Stage>,
) {
    let context = Arc::clone(&state.context);
    let mut accepting = true;
    loop {
        let accepted = tokio::select! {
            biased; // closing the listener would reset connections that the kernel has accepted
            accepted = listener.accept() => accepted,
            _ = listening.wait_for(|reached| *reached > Stage::Accepting) => return,
        };
        match accepted {
            Ok((tcp, peer)) => {
                accepting = true;
                let proxies = &context.config().network.trusted_proxies;
                let address = Some(peer.ip()).filter(|address| !is_trusted(*address, proxies));
                if let Some((slot, acceptance)) = slots.take(address).await {
                    let (stream, pressure) = (Connection::new(tcp, slot), Arc::clone(&slots.pressure));
                    let state = Arc::clone(&state);
                    let serving = serve(state, stream, peer.ip(), acceptance, pressure, listening.clone());
                    context.track(serving);
                }
            }
            // The process is out of file descriptors, or the peer has closed already. Both are
            // temporary.
            Err(error) => {
                if std::mem::take(&mut accepting) {
                    warn!(%error, "could not accept a connection; trying again");
                }
                if *listening.borrow() == Stage::Ending {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves the requests of one connection; a socket goes on in a task of its own.
async fn serve(
    state: Arc<State>,
    stream: Connection,
    peer: IpAddr,
    acceptance: Acceptance,
    pressure: Arc<Notify>,
    mut listening: watch::Receiver<Stage>,
) {
    let is_served = acceptance == Acceptance::Served;
    let head = if is_served { REQUEST_HEAD_TIMEOUT } else { REFUSED_HEAD_TIMEOUT };
    let timeouts = Timeouts { head, idle: state.context.config().keep_alive() };
    let answer = {
        let stream = stream.clone();
        move |request| dispatch::serve(Arc::clone(&state), stream.clone(), peer, request, acceptance)
    };
    let connection = http1::Builder::new()
        .keep_alive(!timeouts.idle.is_zero())
        .header_read_timeout(None) // it counts idle time as well; see `Connection::overdue`
        // A client may send its last request and FIN at once, and wait for the response.
        .half_close(true)
        .max_header_size(MAX_REQUEST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream.timed(RESPONSE_WRITE_TIMEOUT)), service_fn(answer))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut overdue = std::pin::pin!(stream.overdue(timeouts));
    let mut evicted = std::pin::pin!(stream.evicted(&pressure));
    let mut stop =
        std::pin::pin!(async { listening.wait_for(|reached| *reached == Stage::Ending).await.is_ok() });
    let mut is_stopping = false;
    let ended = loop {
        tokio::select! {
            biased; // `overdue` and `evicted` look at what the connection has just done
            ended = connection.as_mut() => break ended,
            () = &mut evicted => return,
            () = &mut overdue => {
                if stream.request_pending() {
                    let answer = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.try_write(answer); // fails on a closed connection
                }
                return;
            }
            _ = &mut stop, if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        debug!(error = %Chain(&error), "a connection ended badly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_families_have_a_port_of_their_own_where_both_are_named() {
        let Ok(first) = listen("[::]:0".parse().unwrap(), true) else { return }; // no IPv6 here
        let port = first.local_addr().unwrap().port();
        assert!(listen(([0, 0, 0, 0], port).into(), true).is_ok());
        drop(first);
        let Ok(both) = listen("[::]:0".parse().unwrap(), false) else { return };
        let port = both.local_addr().unwrap().port();
        assert!(listen(([0, 0, 0, 0], port).into(), false).is_err(), "it stands for IPv4 as well");
    }
}
