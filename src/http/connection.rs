//! One TCP connection, shared: hyper reads the request from it, then the socket's task reads frames
//! while whoever has an event for the socket writes to it directly.

use std::io::{self, IoSlice};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{self, MsgFlags, Shutdown, setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_io_timeout::TimeoutStream;

/// `MSG_MORE` of send(2), where there is one.
const MORE: MsgFlags = MsgFlags::from_bits_retain(if cfg!(target_os = "linux") { 0x8000 } else { 0 });

/// A handle on the connection; it ends with its last handle.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

/// A connection that does not wait for ever for a peer that does not read.
pub(crate) type Timed = Pin<Box<TimeoutStream<Connection>>>;

struct Inner {
    tcp: TcpStream,
    /// Bytes came in since the last answer went out.
    request_pending: AtomicBool,
    /// Something follows the next answer at once.
    more: AtomicBool,
    /// The connection's place among those that may be open at once.
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Takes a connection over.
    pub(crate) fn new(tcp: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        debug_assert!(tcp.nodelay().unwrap_or(true), "the listener has it, and so its connections");
        Self(Arc::new(Inner {
            tcp,
            request_pending: AtomicBool::new(false),
            more: AtomicBool::new(false),
            _permit: permit,
        }))
    }

    /// The connection for hyper, which ends when the peer takes nothing of an answer for so long. hyper
    /// has a timer for reading only.
    pub(crate) fn timed(&self, patience: Duration) -> Timed {
        let mut stream = TimeoutStream::new(self.clone());
        stream.set_write_timeout(Some(patience));
        Box::pin(stream)
    }

    /// Reads what is there. A read that does not fill its space has emptied the stream; tokio is told so, as its own
    /// streams tell it, and nobody has to ask the kernel again.
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
        }); // what was read is in `read`
        read
    }

    /// Writes without looking first whether the stream takes anything, as it nearly always does: what tokio knows of
    /// that lies elsewhere in memory. After `WouldBlock`, [`try_write`](TcpStream::try_write) tells tokio too.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(socket::send(self.0.tcp.as_raw_fd(), bytes, MsgFlags::empty())?)
    }

    /// The next answer goes out together with what follows it: one packet, and one wake-up of the peer, instead of two.
    /// If nothing does, the kernel lets it go after 200 ms.
    pub(crate) fn cork(&self) {
        self.0.more.store(true, Ordering::Relaxed);
    }

    /// Whether the peer has begun a request that is not answered yet.
    pub(crate) fn request_pending(&self) -> bool {
        self.0.request_pending.load(Ordering::Relaxed)
    }

    /// Sends FIN: the peer reads what was written, then the end.
    pub(crate) fn half_close(&self) {
        // An error means that the connection is gone already.
        let _ = socket::shutdown(self.0.tcp.as_raw_fd(), Shutdown::Write);
    }

    /// The peer does not read or answer: what the kernel still holds for it is thrown away.
    pub(crate) fn cut(&self) {
        let _ = setsockopt(&self.0.tcp, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }); // it may be gone already
    }

    /// Reads and forgets until the peer has closed, so that a reset does not overtake what was
    /// written last.
    pub(crate) async fn discard(&self) {
        let mut rest = vec![0; 2048]; // not in the task of every socket
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
            ready!(self.0.tcp.poll_read_ready(cx))?;
            match self.read_now(buf.initialize_unfilled()) {
                Ok(count) => {
                    buf.advance(count);
                    self.0.request_pending.store(count > 0, Ordering::Relaxed);
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
        loop {
            ready!(self.0.tcp.poll_write_ready(cx))?;
            let flags = if self.0.more.load(Ordering::Relaxed) { MORE } else { MsgFlags::empty() };
            let send = || Ok(socket::sendmsg::<()>(self.0.tcp.as_raw_fd(), slices, &[], flags, None)?);
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
