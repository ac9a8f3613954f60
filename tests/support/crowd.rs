//! A crowd in one room: whoever loses the socket comes back at once, and asks only once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::client::{PREFIX, encoded};
use super::wait::{PATIENCE, holds, until, within};

pub struct Crowd {
    address: SocketAddr,
    path: String,
    size: usize,
    notes: Arc<Mutex<Notes>>,
    _members: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Notes {
    /// How often a socket was opened.
    arrivals: usize,
    /// What a handshake was answered instead; who is refused stays away.
    refusals: Vec<String>,
    /// How many heard a text.
    heard: HashMap<String, usize>,
}

impl Crowd {
    /// So many people come to the room and are all there.
    pub async fn gather(size: usize, address: SocketAddr, room: &str) -> Self {
        let path = format!("/ws/chat/{}/", encoded(room));
        let notes = Arc::<Mutex<Notes>>::default();
        let mut members = JoinSet::new();
        for _ in 0..size {
            members.spawn(member(address, path.clone(), Arc::clone(&notes)));
        }
        let crowd = Self { address, path, size, notes, _members: members };
        crowd.returns(0, PATIENCE).await;
        crowd
    }

    /// Waits until there were so many returns in all, each at its first try.
    pub async fn returns(&self, count: usize, limit: Duration) {
        until(limit, &format!("{count} of {} people to come back", self.size), async || {
            let notes = self.notes.lock().unwrap();
            assert_eq!(notes.refusals, Vec::<String>::new(), "handshakes that were refused");
            holds(notes.arrivals == self.size + count, || {
                format!("{}", notes.arrivals.wrapping_sub(self.size))
            })
        })
        .await;
    }

    /// Somebody comes in and says this; waits until everyone in the crowd has heard it, once.
    pub async fn hears(&self, text: &str, limit: Duration) {
        let mut speaker =
            within(PATIENCE, "a handshake", open(self.address, &self.path)).await.expect("a socket");
        speaker.send(Message::text(json!({ "message": text }).to_string())).await.expect("sending");
        until(limit, &format!("{} people to hear {text:?}", self.size), async || {
            let heard = self.notes.lock().unwrap().heard.get(text).copied().unwrap_or_default();
            holds(heard == self.size, || heard.to_string())
        })
        .await;
    }
}

async fn member(address: SocketAddr, path: String, notes: Arc<Mutex<Notes>>) {
    loop {
        let mut socket = match open(address, &path).await {
            Ok(socket) => socket,
            Err(error) => return notes.lock().unwrap().refusals.push(error.to_string()),
        };
        notes.lock().unwrap().arrivals += 1;
        while let Some(Ok(frame)) = socket.next().await {
            if let Message::Text(frame) = frame {
                let frame: Value = serde_json::from_str(&frame).expect("a frame in JSON");
                let text = frame["message"].as_str().and_then(|text| text.strip_prefix(PREFIX));
                let text = text.expect("a chat message").to_owned();
                *notes.lock().unwrap().heard.entry(text).or_default() += 1;
            }
        }
    }
}

async fn open(address: SocketAddr, path: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(address).await?;
    Ok(client_async(format!("ws://{address}{path}"), stream).await?.0)
}
