//! A client of Centrifugo's protocol in one of its two encodings, by the messages of the crate
//! `tokio-centrifuge`: others wrote what it takes the server's bytes for.

use std::collections::VecDeque;
use std::net::SocketAddr;

use prost::Message as _;
use serde_json::Value;
use tokio_centrifuge::config::Protocol;
use tokio_centrifuge::protocol::{
    Command, ConnectRequest, Publication, PublishRequest, PushData, RawCommand, RawReply, Reply,
    SubscribeRequest, SubscribeResult,
};

use super::centrifugo::token_of;
use super::wait::{PATIENCE, within};
use super::websocket::{Error, Message, WebSocket};

/// Both encodings.
pub const ENCODINGS: [Protocol; 2] = [Protocol::Json, Protocol::Protobuf];

pub struct EncodedClient {
    socket: WebSocket,
    encoding: Protocol,
    number: u32,
    /// Pushes that arrived while something else was awaited, the oldest first.
    pushes: VecDeque<(String, PushData)>,
    /// Replies that were read and not awaited yet.
    replies: VecDeque<(u32, Reply)>,
    /// The server's Close frame, once it was read.
    close: Option<(u16, String)>,
}

/// The path of the protocol in this encoding.
pub fn path_of(encoding: Protocol) -> &'static str {
    match encoding {
        Protocol::Json => "/connection/websocket",
        Protocol::Protobuf => "/connection/websocket?format=protobuf",
    }
}

/// The commands as one frame.
pub fn frame_of(encoding: Protocol, commands: impl IntoIterator<Item = (u32, Command)>) -> Message {
    let commands = commands.into_iter().map(|(id, command)| RawCommand { id, ..RawCommand::from(command) });
    match encoding {
        Protocol::Json => {
            let lines = commands.map(|command| serde_json::to_string(&command).expect("JSON"));
            Message::text(lines.collect::<Vec<_>>().join("\n"))
        }
        Protocol::Protobuf => Message::binary(
            commands.flat_map(|command| command.encode_length_delimited_to_vec()).collect::<Vec<_>>(),
        ),
    }
}

impl EncodedClient {
    /// Opens a socket and sends nothing.
    pub async fn open(address: SocketAddr, encoding: Protocol) -> Self {
        Self::try_open(address, encoding).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn try_open(address: SocketAddr, encoding: Protocol) -> Result<Self, Error> {
        let socket = WebSocket::connect(address, path_of(encoding), &[]).await?;
        let (pushes, replies) = (VecDeque::new(), VecDeque::new());
        Ok(Self { socket, encoding, number: 0, pushes, replies, close: None })
    }

    /// Connects as this user.
    pub async fn connect(address: SocketAddr, encoding: Protocol, user: &str) -> Self {
        let mut client = Self::open(address, encoding).await;
        let request = ConnectRequest { token: token_of(user), ..ConnectRequest::default() };
        let reply = client.call(Command::Connect(request)).await;
        assert!(matches!(&reply, Reply::Connect(connected) if !connected.client.is_empty()), "{reply:?}");
        client
    }

    /// Sends a frame as it is.
    pub async fn send(&mut self, frame: Message) {
        self.socket.send(frame).await;
    }

    /// Sends what answers a ping of the server.
    pub async fn pong(&mut self) {
        self.send(frame_of(self.encoding, [(0, Command::Empty)])).await;
    }

    /// Sends a command, and returns its reply.
    pub async fn call(&mut self, command: Command) -> Reply {
        let what = format!("a reply to {command:?}");
        within(PATIENCE, &what, self.try_call(command))
            .await
            .unwrap_or_else(|| panic!("the end before {what}"))
    }

    /// Sends a command, and returns its reply, or nothing at the end of the connection.
    pub async fn try_call(&mut self, command: Command) -> Option<Reply> {
        self.number += 1;
        let number = self.number;
        self.send(frame_of(self.encoding, [(number, command)])).await;
        self.try_reply(number).await
    }

    /// Returns the reply to the command with this number.
    pub async fn reply(&mut self, number: u32) -> Reply {
        let what = format!("a reply to command {number}");
        within(PATIENCE, &what, self.try_reply(number))
            .await
            .unwrap_or_else(|| panic!("the end before {what}"))
    }

    /// Returns the reply to the command with this number, or nothing at the end of the connection.
    pub async fn try_reply(&mut self, number: u32) -> Option<Reply> {
        loop {
            if let Some(at) = self.replies.iter().position(|(id, _)| *id == number) {
                return self.replies.remove(at).map(|(_, reply)| reply);
            }
            self.read().await?;
        }
    }

    /// Sends a command that fails, and returns the code of its error.
    pub async fn error(&mut self, command: Command) -> u32 {
        match self.call(command).await {
            Reply::Error(error) => error.code,
            other => panic!("{other:?} instead of an error"),
        }
    }

    pub async fn subscribe(&mut self, channel: &str) -> SubscribeResult {
        let request = SubscribeRequest { channel: channel.to_owned(), ..SubscribeRequest::default() };
        match self.call(Command::Subscribe(request)).await {
            Reply::Subscribe(result) => result,
            other => panic!("{other:?} instead of a subscription"),
        }
    }

    pub async fn publish(&mut self, channel: &str, data: &Value) {
        let request = PublishRequest { channel: channel.to_owned(), data: data.to_string().into_bytes() };
        let reply = self.call(Command::Publish(request)).await;
        assert!(matches!(reply, Reply::Publish(_)), "{reply:?}");
    }

    /// Returns the next publication in a channel.
    pub async fn publication(&mut self, channel: &str) -> Publication {
        let what = format!("a publication in {channel}");
        let next = within(PATIENCE, &what, self.try_publication(channel)).await;
        next.unwrap_or_else(|| panic!("the end before {what}"))
    }

    /// Returns the next publication in a channel, or nothing at the end of the connection.
    pub async fn try_publication(&mut self, channel: &str) -> Option<Publication> {
        loop {
            while let Some((name, push)) = self.pushes.pop_front() {
                match push {
                    PushData::Publication(publication) if name == channel => return Some(publication),
                    PushData::Unsubscribe(unsubscribe) => panic!("{name}: {unsubscribe:?}"),
                    _ => {}
                }
            }
            self.read().await?;
        }
    }

    /// Returns how the server closes the socket.
    pub async fn closed(&mut self) -> (u16, String) {
        let what = "the socket to be closed";
        within(PATIENCE, what, async { while self.read().await.is_some() {} }).await;
        self.close.clone().unwrap_or_else(|| panic!("the end of the connection instead of {what}"))
    }

    /// Reads a frame, and queues what is in it.
    async fn read(&mut self) -> Option<()> {
        let replies: Vec<RawReply> = match self.socket.next_data().await? {
            Message::Text(text) => text.lines().map(|line| serde_json::from_str(line).expect(line)).collect(),
            Message::Binary(bytes) => {
                let (mut rest, mut replies) = (&bytes[..], Vec::new());
                while !rest.is_empty() {
                    replies.push(RawReply::decode_length_delimited(&mut rest).expect("a reply"));
                }
                replies
            }
            Message::Close(Some(close)) => {
                self.close = Some((close.code.into(), close.reason.to_string()));
                return None;
            }
            _ => return None,
        };
        for raw in replies {
            match (raw.id, Reply::from(raw)) {
                (0, Reply::Push(push)) => self.pushes.push_back((push.channel, push.data)),
                // The server's ping.
                (0, Reply::Empty) => self.pong().await,
                (id, reply) => self.replies.push_back((id, reply)),
            }
        }
        Some(())
    }
}
