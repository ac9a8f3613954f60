//! A shared TCP connection: hyper reads the request, then the socket's task reads frames, while
//! tasks that deliver events write to it directly.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use nix::libc::linger;
use nix::sys::socket::{self, MsgFlags, Shutdown, setsockopt, sockopt};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_io_timeout::TimeoutStream;

use crate::http::phase::{AtomicPhase, Phase};
use crate::limits::ConnectionSlot;
use crate::wire::headers::has_two_lengths;

/// A handle on the connection, which closes with its last handle.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

/// How long a connection may wait for its peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Until the head of a request is complete, from its first byte on; on a new connection from
    /// its begin.
    pub(crate) head: Duration,
    /// Until the first byte of the next request.
    pub(crate) idle: Duration,
}

/// A connection with a write timeout.
pub(crate) type Timed = Pin<Box<TimeoutStream<Connection>>>;

struct Inner {
    tcp: TcpStream,
    /// Bytes were read since the last response was written.
    request_pending: AtomicBool,
    phase: AtomicPhase,
    /// The head of the last request states two lengths, as far as it came at once.
    two_lengths: AtomicBool,
    /// The next response is held.
    holds: AtomicBool,
    /// The bytes of the response that is held.
    held: Mutex<Vec<u8>>,
    /// The connection's place in the limits of open connections.
    slot: ConnectionSlot,
}

impl Connection {
    /// Wraps an accepted connection.
    pub(crate) fn new(tcp: TcpStream, slot: ConnectionSlot) -> Self {
        debug_assert!(tcp.nodelay().unwrap_or(true), "the listener has it, and so its connections");
        Self(Arc::new(Inner {
            tcp,
            request_pending: AtomicBool::new(false),
            phase: AtomicPhase::new(Phase::Head),
            two_lengths: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            held: Mutex::default(),
            slot,
        }))
    }

    /// Returns the connection's place in the limits of open connections.
    pub(crate) fn slot(&self) -> &ConnectionSlot {
        &self.0.slot
    }

    /// Returns a handle for hyper, which fails when the peer accepts no bytes for this long.
    /// hyper's own timer covers reading only.
    pub(crate) fn timed(&self, patience: Duration) -> Timed {
        let mut stream = TimeoutStream::new(self.clone());
        stream.set_write_timeout(Some(patience));
        Box::pin(stream)
    }

    /// Reads the available bytes. A read that does not fill `space` has emptied the stream: it
    /// clears tokio's readiness, as tokio's own streams do, which saves a system call.
    pub(crate) fn read_now(&self, space: &mut [u8]) -> io::Result<usize> {
        let mut read = Err(io::ErrorKind::WouldBlock.into());
        let _ = self.0.tcp.try_io(Interest::READABLE, || {
            read = socket::recv(self.0.tcp.as_raw_fd(), space, MsgFlags::empty()).map_err(io::Error::from);
            match &read {
                Ok(count) if (1..space.len()).contains(count) => Err(io::ErrorKind::WouldBlock.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                _ => Ok(()),
            }
        }); // the result is in `read`
        read
    }

    /// Writes without checking tokio's readiness, which would cost a cache miss: the stream is
    /// nearly always writable. After `WouldBlock`, [`try_write`](TcpStream::try_write) clears the
    /// readiness.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(socket::send(self.0.tcp.as_raw_fd(), bytes, MsgFlags::empty())?)
    }

    /// Holds the next response, which the next writer of the connection sends with what
    /// follows it: one system call, one packet and one wake-up of the peer.
    pub(crate) fn hold_response(&self) {
        self.0.holds.store(true, Ordering::Relaxed);
    }

    /// Takes the response that was held.
    pub(crate) fn take_held(&self) -> Option<Bytes> {
        self.0.holds.store(false, Ordering::Relaxed);
        let held = std::mem::take(&mut *self.0.held.lock());
        (!held.is_empty()).then(|| held.into())
    }

    /// Holds these bytes of a response; returns how many they are.
    fn hold(&self, slices: &[IoSlice<'_>]) -> usize {
        let mut held = self.0.held.lock();
        let before = held.len();
        for slice in slices {
            held.extend_from_slice(slice);
        }
        held.len() - before
    }

    /// Returns whether the peer has begun a request that has no response yet.
    pub(crate) fn request_pending(&self) -> bool {
        self.0.request_pending.load(Ordering::Relaxed)
    }

    /// Records that the head of a request is complete.
    pub(crate) fn on_request(&self) {
        self.0.phase.set(Phase::Request);
    }

    /// Records that the response is determined: what is read from now on is another request.
    pub(crate) fn on_response(&self) {
        self.0.phase.set(Phase::Response);
    }

    /// Records that hyper waits for bytes.
    fn on_wait(&self) {
        if self.0.phase.get().0 == Phase::Response {
            self.0.phase.set(Phase::Idle);
        }
    }

    /// Records that these bytes of a request came.
    fn on_read(&self, bytes: &[u8]) {
        self.0.request_pending.store(!bytes.is_empty(), Ordering::Relaxed);
        match self.0.phase.get().0 {
            Phase::Head => {}
            Phase::Response | Phase::Idle => self.0.phase.set(Phase::Head),
            Phase::Request => return,
        }
        self.0.two_lengths.store(has_two_lengths(bytes), Ordering::Relaxed);
    }

    /// Returns whether the head of the last request was read at once and states two lengths. Where
    /// it came in parts, hyper closes the connection after the response.
    pub(crate) fn has_two_lengths(&self) -> bool {
        self.0.two_lengths.load(Ordering::Relaxed)
    }

    /// Returns when the peer has taken too long. Must be polled after each poll of the connection,
    /// which may have begun to wait.
    pub(crate) async fn overdue(&self, timeouts: Timeouts) {
        let mut timer = std::pin::pin!(None);
        let mut current = None;
        poll_fn(|context| {
            let (phase, since) = self.0.phase.get();
            let limit = match phase {
                Phase::Head => timeouts.head,
                Phase::Idle => timeouts.idle,
                Phase::Request | Phase::Response => return Poll::Pending,
            };
            if current.replace((phase, since)) != Some((phase, since)) {
                timer.set(Some(sleep(limit)));
            }
            timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(context))
        })
        .await;
    }

    /// Returns when `pressure` is notified while the connection waits for a next request. Must be
    /// polled after each poll of the connection.
    pub(crate) async fn evicted(&self, pressure: &Notify) {
        let mut notified = std::pin::pin!(None);
        poll_fn(|context| {
            if self.0.phase.get().0 != Phase::Idle {
                notified.set(None);
                return Poll::Pending;
            }
            if notified.is_none() {
                notified.set(Some(pressure.notified()));
            }
            notified.as_mut().as_pin_mut().map_or(Poll::Pending, |notified| notified.poll(context))
        })
        .await;
    }

    /// Returns when the peer has closed its side, and no bytes of it are unread.
    pub(crate) async fn ended(&self) {
        while self.0.tcp.readable().await.is_ok() {
            let peek = || Ok(socket::recv(self.0.tcp.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK)?);
            match self.0.tcp.try_io(Interest::READABLE, peek) {
                Ok(0) => return,
                Ok(_) => std::future::pending().await, // another request
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Sends FIN: the peer reads the bytes written so far, then the end.
    pub(crate) fn half_close(&self) {
        // An error means that the connection is closed already.
        let _ = socket::shutdown(self.0.tcp.as_raw_fd(), Shutdown::Write);
    }

    /// Resets the connection on close: the kernel discards bytes that the peer has not read.
    pub(crate) fn cut(&self) {
        // An error means that the connection is closed already.
        let _ = setsockopt(&self.0.tcp, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
    }

    /// Reads and discards until the peer has closed, so that a reset does not overtake the last
    /// bytes written.
    pub(crate) async fn discard(&self) {
        let mut rest = vec![0; 2048]; // on the heap: the task of every socket would hold it
        while self.0.tcp.readable().await.is_ok() {
            match self.0.tcp.try_read(&mut rest) {
                Ok(0) => return,
                Ok(_) => tokio::task::coop::consume_budget().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

impl Deref for Connection {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0.tcp
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Poll::Ready(readable) = self.0.tcp.poll_read_ready(cx) else {
                self.on_wait();
                return Poll::Pending;
            };
            readable?;
            match self.read_now(buf.initialize_unfilled()) {
                Ok(count) => {
                    buf.advance(count);
                    let filled = buf.filled();
                    self.on_read(&filled[filled.len() - count..]);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.0.holds.load(Ordering::Relaxed) {
            self.0.request_pending.store(false, Ordering::Relaxed);
            return Poll::Ready(Ok(self.hold(slices)));
        }
        loop {
            ready!(self.0.tcp.poll_write_ready(cx))?;
            let send = || {
                let (stream, none) = (self.0.tcp.as_raw_fd(), MsgFlags::empty());
                Ok(socket::sendmsg::<()>(stream, slices, &[], none, None)?)
            };
            match self.0.tcp.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.0.request_pending.store(false, Ordering::Relaxed);
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half_close();
        Poll::Ready(Ok(()))
    }
}
