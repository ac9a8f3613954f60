//! A raw connection to a node: bytes out, HTTP responses and WebSocket frames in.

use std::net::{self, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::frame::{CLOSE, Frame};
use super::http::{Request, Response};
use super::node::Node;
use super::wait::{PATIENCE, within};

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The peer has closed or reset the connection.
    ended: bool,
}

impl Connection {
    pub async fn connect(node: &Node) -> Self {
        Self::connect_to(node.address()).await
    }

    /// Connects to this address; an error fails the test.
    pub async fn connect_to(address: SocketAddr) -> Self {
        let connection = within(PATIENCE, "a TCP connection", Self::try_connect(address)).await;
        connection.unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    /// Connects to this address.
    pub async fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::from_stream(stream))
    }

    /// Connects from another address of this machine, as 127.0.0.2.
    pub async fn connect_from(local: [u8; 4], address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((local, 0).into()).expect("an address of this machine");
        let stream = within(PATIENCE, "a TCP connection", socket.connect(address)).await;
        Self::from_stream(stream.unwrap_or_else(|error| panic!("connecting to {address}: {error}")))
    }

    fn from_stream(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), ended: false }
    }

    /// A connection with a receive buffer of this many bytes (the kernel doubles it), for slow
    /// readers.
    pub fn narrow(node: &Node, bytes: usize) -> Self {
        Self::narrow_to(node.address(), bytes)
    }

    /// As [`narrow`](Self::narrow), to any address.
    pub fn narrow_to(address: SocketAddr, bytes: usize) -> Self {
        let socket =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        setsockopt(&socket, sockopt::RcvBuf, &bytes).expect("SO_RCVBUF");
        connect(socket.as_raw_fd(), &SockaddrStorage::from(address)).expect("a TCP connection");
        let stream = net::TcpStream::from(socket);
        stream.set_nonblocking(true).expect("a non-blocking socket");
        Self::from_stream(TcpStream::from_std(stream).expect("a tokio socket"))
    }

    /// A connection after a WebSocket handshake at this path.
    pub async fn websocket(node: &Node, path: &str) -> Self {
        Self::connect(node).await.upgrade(path).await
    }

    /// Performs a WebSocket handshake on this connection.
    pub async fn upgrade(mut self, path: &str) -> Self {
        let response = Request::upgrade(path).send_on(&mut self).await;
        assert_eq!(response.status, 101, "handshake at {path}: {response:?}");
        self
    }

    pub fn peer(&self) -> SocketAddr {
        self.stream.peer_addr().expect("the peer's address")
    }

    /// Sends bytes. A peer that has closed the connection shows at the next read.
    pub async fn send(&mut self, bytes: &[u8]) {
        within(PATIENCE, "the node to take bytes", self.stream.write_all(bytes)).await.ok();
    }

    /// Sends bytes without a deadline; an error when the peer has ended the connection.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends FIN: nothing follows.
    pub async fn finish_sending(&mut self) {
        self.stream.shutdown().await.expect("an open connection");
    }

    pub async fn send_frame(&mut self, frame: &Frame) {
        self.send(&frame.bytes()).await;
    }

    /// Reads once into the buffer; `false` when the connection has ended.
    pub async fn read_more(&mut self) -> bool {
        if !self.ended {
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => self.ended = true,
                Ok(_) => {}
            }
        }
        !self.ended
    }

    /// Reads once, at most this many bytes, and returns how many; 0 when the connection has ended.
    pub async fn read_at_most(&mut self, max: usize) -> usize {
        let mut bytes = vec![0; max];
        let count = self.stream.read(&mut bytes).await.unwrap_or(0);
        self.buffer.extend(&bytes[..count]);
        count
    }

    /// The bytes that were read and not taken yet.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The next HTTP response (to any method but HEAD).
    pub async fn response(&mut self) -> Response {
        self.response_within(PATIENCE, false).await
    }

    /// The next HTTP response; one to HEAD has no body.
    pub async fn response_within(&mut self, limit: Duration, to_head: bool) -> Response {
        within(limit, "an HTTP response", async {
            loop {
                if let Some(response) = Response::take(&mut self.buffer, to_head, self.ended) {
                    return response;
                }
                let more = self.read_more().await;
                let seen = || String::from_utf8_lossy(&self.buffer).into_owned();
                assert!(more || !self.buffer.is_empty(), "the connection ended without an HTTP response");
                assert!(
                    more || Response::may_end_here(&self.buffer),
                    "the connection ended within a response: {}",
                    seen()
                );
            }
        })
        .await
    }

    /// The next HTTP response; `None` when the connection ends before it is complete.
    pub async fn try_response(&mut self) -> Option<Response> {
        loop {
            if let Some(response) = Response::take(&mut self.buffer, false, self.ended) {
                return Some(response);
            }
            if !self.read_more().await && !Response::may_end_here(&self.buffer) {
                return None;
            }
        }
    }

    /// Status line and headers of the next HTTP response, whose body stays in the buffer.
    pub async fn response_head(&mut self) -> String {
        let head = within(PATIENCE, "the head of a response", self.try_response_head()).await;
        head.expect("the connection ended without an HTTP response")
    }

    /// Status line and headers of the next HTTP response; `None` when the connection ends before.
    pub async fn try_response_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                return Some(head);
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// The status of the next HTTP response, which may be a stream.
    pub async fn status(&mut self) -> u16 {
        let head = self.response_head().await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {head}"))
    }

    /// The next frame, or `None` when the connection has ended.
    pub async fn next_frame(&mut self, limit: Duration) -> Option<Frame> {
        within(limit, "a frame", async {
            loop {
                if let Some(frame) = Frame::take(&mut self.buffer) {
                    return Some(frame);
                }
                if !self.read_more().await {
                    return None;
                }
            }
        })
        .await
    }

    /// The next frame with this opcode; skips others.
    pub async fn frame_with_opcode(&mut self, opcode: u8, limit: Duration) -> Frame {
        let mut seen = Vec::new();
        loop {
            match self.next_frame(limit).await {
                Some(frame) if frame.opcode == opcode => return frame,
                Some(frame) => seen.push(frame.opcode),
                None => {
                    panic!("the connection ended without a frame of opcode {opcode}; opcodes seen: {seen:?}")
                }
            }
        }
    }

    /// Code and reason of the node's Close frame.
    pub async fn close_code(&mut self) -> (u16, String) {
        self.frame_with_opcode(CLOSE, PATIENCE).await.close_code()
    }

    /// Waits for the end of the connection and discards what comes before. Returns the Close code,
    /// if there was one.
    pub async fn wait_for_end(&mut self, limit: Duration) -> Option<u16> {
        within(limit, "the node to end the connection", async {
            let mut code = None;
            loop {
                while let Some(frame) = Frame::take(&mut self.buffer) {
                    if frame.opcode == CLOSE {
                        code = Some(frame.close_code().0);
                    }
                }
                if !self.read_more().await {
                    return code;
                }
            }
        })
        .await
    }

    /// Reads up to the end of the connection.
    pub async fn read_to_end(&mut self, limit: Duration) -> Vec<u8> {
        within(limit, "the node to end the connection", async { while self.read_more().await {} }).await;
        std::mem::take(&mut self.buffer)
    }
}
