//! Many clients in one room; each reconnects as soon as its socket ends and fails on a rejected
//! handshake.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use super::tutorial_client::{chat_path, frame, text_of, without_prefix};
use super::wait::{PATIENCE, holds, until, within};
use super::websocket::{Message, WebSocket};

pub struct Crowd {
    address: SocketAddr,
    path: String,
    size: usize,
    notes: Arc<Mutex<Notes>>,
    _members: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Number of sockets that were opened.
    connections: usize,
    /// Errors of rejected handshakes; the client ends after one.
    rejections: Vec<String>,
    /// Number of clients that received each text.
    received: HashMap<String, usize>,
}

impl Crowd {
    /// Connects this many clients to the room.
    pub async fn connect(size: usize, address: SocketAddr, room: &str) -> Self {
        let path = chat_path(room);
        let notes = Arc::<Mutex<Notes>>::default();
        let mut members = JoinSet::new();
        for _ in 0..size {
            members.spawn(reconnect_forever(address, path.clone(), Arc::clone(&notes)));
        }
        let crowd = Self { address, path, size, notes, _members: members };
        crowd.wait_for_returns(0, PATIENCE).await;
        crowd
    }

    /// Waits for this many reconnections in all, each at the first attempt.
    pub async fn wait_for_returns(&self, count: usize, limit: Duration) {
        until(limit, &format!("{count} of {} clients to reconnect", self.size), async || {
            let notes = self.notes.lock().unwrap();
            assert_eq!(notes.rejections, Vec::<String>::new(), "rejected handshakes");
            holds(notes.connections == self.size + count, || {
                format!("{}", notes.connections.wrapping_sub(self.size))
            })
        })
        .await;
    }

    /// Publishes this text; waits until every client of the crowd has received it, once.
    pub async fn wait_for_text(&self, text: &str, limit: Duration) {
        let connect = WebSocket::connect(self.address, &self.path, &[]);
        let mut sender = within(PATIENCE, "a handshake", connect).await.expect("a socket");
        sender.send(frame(text)).await;
        until(limit, &format!("{} clients to receive {text:?}", self.size), async || {
            let received = self.notes.lock().unwrap().received.get(text).copied().unwrap_or_default();
            holds(received == self.size, || received.to_string())
        })
        .await;
    }
}

async fn reconnect_forever(address: SocketAddr, path: String, notes: Arc<Mutex<Notes>>) {
    loop {
        let mut socket = match WebSocket::connect(address, &path, &[]).await {
            Ok(socket) => socket,
            Err(error) => return notes.lock().unwrap().rejections.push(error.to_string()),
        };
        notes.lock().unwrap().connections += 1;
        while let Some(message) = socket.next_message().await {
            if let Message::Text(frame) = message {
                let text = without_prefix(&text_of(&frame));
                *notes.lock().unwrap().received.entry(text).or_default() += 1;
            }
        }
    }
}
