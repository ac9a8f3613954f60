//! A client that reconnects by the rules of the protocol: with `since`, after the delay of a `bye`
//! or at once, and drops messages that it knows.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::handshake::Handshake;
use super::v1_client::{V1Client, id_of};
use super::wait::{holds, until};

pub struct ResumingClient {
    notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

/// What the client has observed so far.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Every message once, in the order of arrival.
    pub messages: Vec<Value>,
    /// Gaps, and welcomes that recovered less than everything since.
    pub reported: Vec<Value>,
    /// The times at which a socket was welcomed.
    pub arrivals: Vec<Instant>,
    /// The times without a socket, beyond the delay of a `bye`.
    pub waits: Vec<Duration>,
}

impl ResumingClient {
    /// Connects to the room and stays until it is dropped.
    pub fn connect(address: SocketAddr, room: &str) -> Self {
        let notes = Arc::<Mutex<Notes>>::default();
        let task = tokio::spawn(come_again(address, room.to_owned(), Arc::clone(&notes)));
        Self { notes, task }
    }

    pub fn observations(&self) -> Notes {
        assert!(!self.task.is_finished(), "a regular gave up");
        self.notes.lock().unwrap().clone()
    }

    /// Waits until this text has arrived.
    pub async fn wait_for_text(&self, text: &str, limit: Duration) {
        until(limit, &format!("a client to receive {text:?}"), async || {
            let notes = self.observations();
            let last = notes.messages.last().cloned().unwrap_or_default();
            holds(notes.messages.iter().any(|message| message["text"] == text), || {
                format!("{} messages up to {last}", notes.messages.len())
            })
        })
        .await;
    }

    /// Waits until the first socket is open.
    pub async fn wait_until_connected(&self, limit: Duration) {
        until(limit, "a regular to come", async || {
            holds(!self.observations().arrivals.is_empty(), String::new)
        })
        .await;
    }
}

impl Drop for ResumingClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn come_again(address: SocketAddr, room: String, notes: Arc<Mutex<Notes>>) {
    let mut since: Option<String> = None;
    let mut lost = None;
    loop {
        let ticket = Handshake::to_room(&room);
        let ticket = since.as_ref().map_or(ticket.clone(), |id| ticket.since(id));
        let Ok(Ok(socket)) = timeout(Duration::from_secs(5), ticket.try_connect(address)).await else {
            // A short backoff, because another node is always ready.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let welcomed = timeout(Duration::from_secs(5), V1Client::try_welcomed(socket)).await;
        let Ok(Some(mut member)) = welcomed else { continue };
        notes.lock().unwrap().come(&member.welcome, lost.take(), since.is_some());
        // By the protocol a new client has everything up to `last`.
        since = since.or_else(|| member.welcome["last"].as_str().map(str::to_owned));
        lost = Some(stay(&mut member, &mut since, &notes).await);
    }
}

/// Reads until the socket ends and returns the earliest time at which it was to end.
async fn stay(member: &mut V1Client, since: &mut Option<String>, notes: &Mutex<Notes>) -> Instant {
    let mut bye = None;
    while let Some(frame) = member.next_frame().await {
        match frame["type"].as_str().unwrap_or_default() {
            "message" => {
                *since = Some(id_of(&frame));
                notes.lock().unwrap().record(frame);
            }
            "gap" => notes.lock().unwrap().reported.push(frame),
            "bye" => {
                let delay = frame["reconnect_ms"].as_u64().expect("`reconnect_ms` in a bye");
                bye = Some(Instant::now() + Duration::from_millis(delay));
            }
            _ => {}
        }
    }
    bye.unwrap_or_else(Instant::now)
}

impl Notes {
    fn come(&mut self, welcome: &Value, lost: Option<Instant>, came_back: bool) {
        self.arrivals.push(Instant::now());
        self.waits.extend(lost.map(|lost| Instant::now().saturating_duration_since(lost)));
        if came_back && welcome["recovered"] != true {
            self.reported.push(welcome.clone());
        }
    }

    fn record(&mut self, message: Value) {
        if !self.messages.iter().any(|known| known["id"] == message["id"]) {
            self.messages.push(message);
        }
    }
}
