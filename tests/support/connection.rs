//! A raw connection to a node: hand-written bytes out, HTTP answers and WebSocket frames in.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frame::{CLOSE, Frame};
use super::http::{Answer, Request};
use super::node::Node;
use super::wait::{PATIENCE, within};

pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The peer closed or reset the connection.
    over: bool,
}

impl Wire {
    pub async fn connect(node: &Node) -> Self {
        Self::to(node.address()).await
    }

    pub async fn to(address: SocketAddr) -> Self {
        let stream = within(PATIENCE, "a TCP connection", TcpStream::connect(address))
            .await
            .expect("a TCP connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self::of(stream)
    }

    pub fn of(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), over: false }
    }

    /// A connection with a receive buffer of so many bytes (the kernel doubles it), so that a reader can be slow.
    pub fn narrow(node: &Node, bytes: usize) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(bytes).expect("SO_RCVBUF");
        socket.connect(&node.address().into()).expect("a TCP connection");
        socket.set_nonblocking(true).expect("a non-blocking socket");
        Self::of(TcpStream::from_std(socket.into()).expect("a tokio socket"))
    }

    /// A WebSocket that is open: the handshake is done.
    pub async fn socket(node: &Node, path: &str) -> Self {
        Self::connect(node).await.upgraded(path).await
    }

    /// Does the handshake on this connection.
    pub async fn upgraded(mut self, path: &str) -> Self {
        let request = Request::upgrade(path).bytes(self.peer());
        self.send(&request).await;
        let answer = self.answer().await;
        assert_eq!(answer.status, 101, "handshake at {path}: {answer:?}");
        self
    }

    pub fn peer(&self) -> SocketAddr {
        self.stream.peer_addr().expect("the peer's address")
    }

    /// Sends bytes; a peer that closed the connection meanwhile shows at the next read.
    pub async fn send(&mut self, bytes: &[u8]) {
        within(PATIENCE, "the node to take bytes", self.stream.write_all(bytes)).await.ok();
    }

    /// Sends bytes for as long as it takes; an error when the peer has ended the connection.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub async fn send_frame(&mut self, frame: &Frame) {
        self.send(&frame.bytes()).await;
    }

    /// Reads once more; false when the connection is over.
    async fn fill(&mut self) -> bool {
        if !self.over {
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => self.over = true,
                Ok(_) => {}
            }
        }
        !self.over
    }

    /// The next HTTP answer (to anything but HEAD).
    pub async fn answer(&mut self) -> Answer {
        self.answer_within(PATIENCE, false).await
    }

    /// The next HTTP answer within this time; an answer to HEAD has no body.
    pub async fn answer_within(&mut self, limit: Duration, to_head: bool) -> Answer {
        within(limit, "an HTTP answer", async {
            loop {
                if let Some(answer) = Answer::take(&mut self.buffer, to_head, self.over) {
                    return answer;
                }
                let more = self.fill().await;
                let seen = || String::from_utf8_lossy(&self.buffer).into_owned();
                assert!(more || !self.buffer.is_empty(), "the connection ended without an HTTP answer");
                assert!(
                    more || Answer::may_end_here(&self.buffer),
                    "the connection ended within an answer: {}",
                    seen()
                );
            }
        })
        .await
    }

    /// The status of the next HTTP answer, as soon as its head is there: it may be one that goes on.
    pub async fn status(&mut self) -> u16 {
        within(PATIENCE, "the head of an answer", async {
            loop {
                if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                    return status.unwrap_or_else(|| panic!("no status in {head}"));
                }
                assert!(self.fill().await, "the connection ended without an HTTP answer");
            }
        })
        .await
    }

    /// The next frame, or `None` when the connection is over.
    pub async fn frame(&mut self, limit: Duration) -> Option<Frame> {
        within(limit, "a frame", async {
            loop {
                if let Some(frame) = Frame::take(&mut self.buffer) {
                    return Some(frame);
                }
                if !self.fill().await {
                    return None;
                }
            }
        })
        .await
    }

    /// The next frame with this opcode; others are passed over.
    pub async fn frame_of(&mut self, opcode: u8, limit: Duration) -> Frame {
        let mut seen = Vec::new();
        loop {
            match self.frame(limit).await {
                Some(frame) if frame.opcode == opcode => return frame,
                Some(frame) => seen.push(frame.opcode),
                None => {
                    panic!("the connection ended without a frame of opcode {opcode}; opcodes seen: {seen:?}")
                }
            }
        }
    }

    /// Code and reason of the Close frame that the node sends.
    pub async fn close_code(&mut self) -> (u16, String) {
        self.frame_of(CLOSE, PATIENCE).await.close_code()
    }

    /// Waits for the end of the connection; what came before it is thrown away. Returns the Close code if there was one.
    pub async fn ended(&mut self, limit: Duration) -> Option<u16> {
        within(limit, "the node to end the connection", async {
            let mut code = None;
            loop {
                while let Some(frame) = Frame::take(&mut self.buffer) {
                    if frame.opcode == CLOSE {
                        code = Some(frame.close_code().0);
                    }
                }
                if !self.fill().await {
                    return code;
                }
            }
        })
        .await
    }

    /// Waits for the end of a connection that speaks HTTP: whatever the node still said.
    pub async fn rest(&mut self, limit: Duration) -> Vec<u8> {
        within(limit, "the node to end the connection", async { while self.fill().await {} }).await;
        std::mem::take(&mut self.buffer)
    }
}
