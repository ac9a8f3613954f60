//! Clients on three wires that send and read during the whole run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::record::Record;
use super::site::{ROOM, Site};
use crate::support::connection::Connection;
use crate::support::event_stream::{EventStream, messages, stream_of};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::resuming_client::ResumingClient;
use crate::support::tutorial_client::{chat_path, frame, text_of, without_prefix};
use crate::support::v1_client::{V1Client, fresh_id, id_of, texts_of};
use crate::support::wait::{PATIENCE, holds, seconds, until, within};
use crate::support::websocket::{Message, WebSocket};

/// The pause of a client between two messages or attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client waits for an answer before it asks again.
const ANSWER: Duration = seconds(5);
/// Clients of each kind.
const CLIENTS: u64 = 2;

pub struct Clients {
    address: SocketAddr,
    shared: Arc<Shared>,
    resuming: Vec<ResumingClient>,
    writers: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

struct Shared {
    has_ended: AtomicBool,
    record: Mutex<Record>,
}

impl Clients {
    pub async fn start(site: &Site) -> Self {
        let address = site.address();
        let shared = Arc::new(Shared { has_ended: AtomicBool::new(false), record: Mutex::default() });
        let mut clients =
            Self { address, shared, resuming: Vec::new(), writers: Vec::new(), readers: Vec::new() };
        for n in 0..CLIENTS {
            let resuming = ResumingClient::connect(address, ROOM);
            resuming.wait_until_connected(PATIENCE).await;
            clients.resuming.push(resuming);
            let shared = || Arc::clone(&clients.shared);
            clients.readers.push(tokio::spawn(read_sse(address, shared())));
            clients.readers.push(tokio::spawn(read_plain(address, shared())));
            clients.writers.push(tokio::spawn(write_v1(address, n, shared())));
            clients.writers.push(tokio::spawn(write_by_post(address, shared())));
            clients.writers.push(tokio::spawn(write_plain(address, shared())));
        }
        clients
    }

    /// Waits until so many more messages are acknowledged.
    pub async fn wait_for_messages(&self, count: usize) {
        let wanted = self.shared.acks() + count;
        until(PATIENCE, &format!("{count} more acks"), async || {
            holds(self.shared.acks() >= wanted, || self.shared.acks().to_string())
        })
        .await;
    }

    /// Ends the writers, waits until clients that resume have read to the end, and returns what all
    /// have seen.
    pub async fn finish(self) -> Record {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        for writer in self.writers {
            within(seconds(60), "the last ack of a writer", writer).await.expect("a writer");
        }
        let last = fresh_id();
        let id = until(PATIENCE, "the last ack", async || {
            post(self.address, &last).await.ok_or_else(|| "no ack".to_owned())
        });
        let id = id.await;
        let mut record = self.shared.end(&last, id).await;
        for client in &self.resuming {
            client.wait_for_text(&last, PATIENCE).await;
            let seen = client.observations();
            record.resumed.push(texts_of(&seen.messages));
            record.reported.extend(seen.reported.iter().map(ToString::to_string));
        }
        for reader in self.readers {
            assert!(!reader.is_finished(), "a reader gave up");
            reader.abort();
        }
        record
    }
}

impl Shared {
    fn acks(&self) -> usize {
        self.record.lock().unwrap().acked.len()
    }

    /// Notes an ack. Returns whether the writer goes on.
    async fn acked(&self, text: String, id: String) -> bool {
        self.record.lock().unwrap().acked.insert(text, id);
        sleep(PAUSE).await;
        !self.has_ended.load(Ordering::SeqCst)
    }

    /// Waits until each stream has the last message; returns what was seen.
    async fn end(&self, last: &str, id: String) -> Record {
        until(PATIENCE, "the streams to end with the last message", async || {
            let record = self.record.lock().unwrap();
            let is_at_end = |texts: &Vec<String>| texts.last().is_some_and(|text| text == last);
            holds(record.resumed.iter().all(is_at_end), || format!("not {last}"))
        })
        .await;
        let mut record = self.record.lock().unwrap().clone();
        record.acked.insert(last.to_owned(), id);
        record
    }
}

/// Sends on `parlor.v1`, each message until it is acknowledged.
async fn write_v1(address: SocketAddr, guest: u64, shared: Arc<Shared>) {
    let mut member: Option<V1Client> = None;
    loop {
        let text = fresh_id();
        let id = loop {
            let Some(client) = &mut member else {
                let handshake = Handshake::to_room(ROOM).with_guest(100 + guest);
                match timeout(ANSWER, handshake.try_connect(address)).await {
                    Ok(Ok(socket)) => {
                        member = timeout(ANSWER, V1Client::try_welcomed(socket)).await.ok().flatten();
                    }
                    _ => sleep(PAUSE).await,
                }
                continue;
            };
            match timeout(ANSWER, reply_to(client, &text)).await {
                Ok(Some(reply)) if reply["type"] == "ack" => break id_of(&reply),
                Ok(Some(reply)) => assert_eq!(reply["retry"], true, "{text}: {reply}"),
                _ => member = None,
            }
        };
        if !shared.acked(text, id).await {
            return;
        }
    }
}

/// Sends a message under its text as its id, and returns the reply; `None` at the end of the
/// connection.
async fn reply_to(client: &mut V1Client, text: &str) -> Option<Value> {
    let message = json!({ "type": "message", "message": text, "id": text });
    client.try_send_json(&message).await.then_some(())?;
    loop {
        let frame = client.next_frame().await?;
        if frame["client_id"] == text {
            return Some(frame);
        }
    }
}

/// Sends by POST, each message until it is acknowledged.
async fn write_by_post(address: SocketAddr, shared: Arc<Shared>) {
    loop {
        let text = fresh_id();
        let id = loop {
            match timeout(ANSWER, post(address, &text)).await {
                Ok(Some(id)) => break id,
                _ => sleep(PAUSE).await,
            }
        };
        if !shared.acked(text, id).await {
            return;
        }
    }
}

/// Posts a message; returns the id of its ack, or `None` where it has to be posted again.
async fn post(address: SocketAddr, text: &str) -> Option<String> {
    let mut connection = Connection::try_connect(address).await.ok()?;
    let body = json!({ "message": text, "id": text }).to_string();
    connection.try_send(&messages(ROOM).body(body).bytes(address)).await.ok()?;
    let head = connection.try_response_head().await?;
    let status = head.split(' ').nth(1)?;
    if status != "200" {
        assert!(["502", "503", "504"].contains(&status), "{text}: {head}");
        return None;
    }
    while !connection.buffer().contains(&b'}') {
        if !connection.read_more().await {
            return None;
        }
    }
    let body = String::from_utf8_lossy(connection.buffer()).into_owned();
    let ack: Value = serde_json::from_str(&body[body.find('{')?..=body.find('}')?]).expect("an ack");
    Some(id_of(&ack))
}

/// Sends on the plain wire, where nothing is acknowledged: each message once, until it is read.
async fn write_plain(address: SocketAddr, shared: Arc<Shared>) {
    while !shared.has_ended.load(Ordering::SeqCst) {
        let socket = timeout(ANSWER, WebSocket::connect(address, &chat_path(ROOM), &[])).await;
        let Ok(Ok(mut socket)) = socket else {
            sleep(PAUSE).await;
            continue;
        };
        while !shared.has_ended.load(Ordering::SeqCst) && say(&mut socket).await {
            sleep(PAUSE).await;
        }
    }
}

/// Sends a message and waits until it is read; returns `false` at the end of the connection.
async fn say(socket: &mut WebSocket) -> bool {
    let text = fresh_id();
    if !socket.try_send(frame(&text)).await {
        return false;
    }
    while let Ok(Some(Message::Text(said))) = timeout(ANSWER, socket.next_data()).await {
        if without_prefix(&text_of(&said)) == text {
            return true;
        }
    }
    false
}

/// Receives Server-Sent Events, and resumes after the last message.
async fn read_sse(address: SocketAddr, shared: Arc<Shared>) {
    let reader = {
        let mut record = shared.record.lock().unwrap();
        record.resumed.push(Vec::new());
        record.resumed.len() - 1
    };
    let mut since: Option<String> = None;
    loop {
        let request = Request::get(&stream_of(ROOM));
        let request = since.iter().fold(request, |request, id| request.header("Last-Event-ID", id));
        let Ok(Some(mut stream)) = timeout(ANSWER, EventStream::try_open(address, request)).await else {
            sleep(PAUSE).await;
            continue;
        };
        while let Some(part) = stream.try_next_part().await {
            let mut record = shared.record.lock().unwrap();
            let is_incomplete = since.is_some() && part.frame["recovered"] == false;
            match part.frame["type"].as_str() {
                Some("message") => {
                    record.resumed[reader].extend(texts_of(std::slice::from_ref(&part.frame)));
                }
                Some("gap") => record.reported.push(part.frame.to_string()),
                Some("welcome") if is_incomplete => record.reported.push(part.frame.to_string()),
                _ => {}
            }
            since = part.id.or(since);
        }
    }
}

/// Reads on the plain wire, each connection by itself.
async fn read_plain(address: SocketAddr, shared: Arc<Shared>) {
    loop {
        let socket = timeout(ANSWER, WebSocket::connect(address, &chat_path(ROOM), &[])).await;
        let Ok(Ok(mut socket)) = socket else {
            sleep(PAUSE).await;
            continue;
        };
        let connection = {
            let mut record = shared.record.lock().unwrap();
            record.live.push(Vec::new());
            record.live.len() - 1
        };
        while let Some(Message::Text(said)) = socket.next_data().await {
            let text = without_prefix(&text_of(&said));
            shared.record.lock().unwrap().live[connection].push(text);
        }
    }
}
