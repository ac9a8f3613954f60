//! One client's connection, from the handshake to the last frame, at the least cost that reads
//! every byte.
//!
//! A WebSocket library would copy each frame and allocate for it, and the clients share the machine
//! with what they measure. So the library parses only the head of a frame, and the payload is
//! searched in place.

use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use memchr::memmem;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::Result;
use crate::guest;
use crate::mark::Mark;

/// The key of RFC 6455, section 1.3, and its accept value.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a client receives.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// A message with a mark.
    Message(Mark, &'a [u8]),
    /// Any other frame.
    Other(&'a [u8]),
    /// The server, or an error, ended the connection.
    End(String),
}

pub(crate) struct Socket {
    stream: TcpStream,
    /// The handshake is complete.
    open: bool,
    /// The end was reported; later signs of it are ignored.
    ended: bool,
    /// The received part of an incomplete frame.
    rest: Vec<u8>,
    /// Bytes not yet written.
    outgoing: Vec<u8>,
}

impl Socket {
    /// Starts connecting. The same number is the same user, as for one browser.
    pub(crate) fn connect(address: SocketAddr, path: &str, user: usize) -> Result<Self> {
        let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Stream, flags, None)?;
        setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let cookie = guest::cookie(user);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nCookie: {cookie}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
             Sec-WebSocket-Protocol: parlor.v1\r\n\r\n"
        );
        Ok(Self {
            stream: socket.into(),
            open: false,
            ended: false,
            rest: Vec::new(),
            outgoing: request.into_bytes(),
        })
    }

    /// Sends a text frame.
    pub(crate) fn send(&mut self, text: &str) {
        self.send_frame(Frame::message(text.to_owned(), OpCode::Data(Data::Text), true));
    }

    fn send_frame(&mut self, mut frame: Frame) {
        frame.header_mut().mask = Some([0x37, 0xfa, 0x21, 0x3d]); // any key costs the same
        frame.format(&mut self.outgoing).expect("writing to a Vec cannot fail");
        self.flush().ok(); // a broken connection shows when it is read
    }

    /// Writes and reads as far as the connection allows, using `room` as the read buffer.
    pub(crate) fn turn(&mut self, room: &mut [u8], mut hear: impl FnMut(Heard<'_>)) {
        if self.ended {
            return;
        }
        if let Err(end) = self.try_turn(room, &mut hear) {
            self.ended = true;
            hear(Heard::End(end.to_string()));
        }
    }

    fn try_turn(&mut self, room: &mut [u8], hear: &mut impl FnMut(Heard<'_>)) -> Result<()> {
        self.flush()?;
        if !self.open && !self.outgoing.is_empty() {
            return Ok(()); // not connected yet
        }
        loop {
            let count = match self.stream.read(room) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if self.rest.is_empty() {
                let used = self.take(&room[..count], hear)?;
                self.rest.extend_from_slice(&room[used..count]);
            } else {
                let mut bytes = std::mem::take(&mut self.rest);
                bytes.extend_from_slice(&room[..count]);
                let used = self.take(&bytes, hear)?;
                self.rest.extend_from_slice(&bytes[used..]);
            }
            // A short read drained the socket: more data raises another event.
            if count < room.len() {
                return Ok(());
            }
        }
    }

    /// Handles all complete frames and returns the number of bytes consumed.
    fn take(&mut self, bytes: &[u8], hear: &mut impl FnMut(Heard<'_>)) -> Result<usize> {
        let mut used = 0;
        if !self.open {
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(0) };
            let answer = String::from_utf8_lossy(&bytes[..end]);
            let right = answer.starts_with("HTTP/1.1 101 ")
                && answer.contains(ACCEPT)
                && answer.contains("parlor.v1");
            if !right {
                return Err(answer.lines().next().unwrap_or_default().to_owned().into());
            }
            self.open = true;
            used = end + 4;
        }
        loop {
            let mut cursor = Cursor::new(&bytes[used..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(used) };
            let start = used + usize::try_from(cursor.position())?;
            let end = start + usize::try_from(length)?;
            let Some(payload) = bytes.get(start..end) else { return Ok(used) };
            used = end;
            match header.opcode {
                OpCode::Data(Data::Text) if header.is_final => hear(match Mark::find(payload) {
                    Some(mark) => Heard::Message(mark, payload),
                    None => Heard::Other(payload),
                }),
                OpCode::Control(Control::Ping) => self.send_frame(Frame::pong(payload.to_vec())),
                OpCode::Control(Control::Close) => {
                    let (code, reason) = payload.split_at_checked(2).unwrap_or_default();
                    let code = code.iter().fold(0, |code, byte| code * 256 + u32::from(*byte));
                    return Err(format!("closed with {code}: {}", String::from_utf8_lossy(reason)).into());
                }
                other => return Err(format!("a frame that is not in the protocol: {other}").into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if !self.open {
            self.outgoing = Vec::new(); // frees the request's memory, of ten thousand sockets
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
