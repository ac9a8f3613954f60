//! Clients that only listen: on the plain wire, which knows neither ids nor notices, and to the
//! push stream of a room.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::instructions::{Instructions, Lifecycle};
use super::record::{Action, Recorder};
use crate::support::connection::Connection;
use crate::support::handshake::guest_cookie;
use crate::support::http::Request;
use crate::support::tutorial_client::{chat_path, encoded, without_prefix};
use crate::support::websocket::{Message, WebSocket};

/// From the first byte to the 101, and silence after which the socket is given up: a room under
/// constant load, and a push stream, say something every other second.
const MAX_SILENCE: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    ToMessages,
    ToPushes,
}

pub struct Listener {
    pub index: usize,
    pub room: String,
    pub listens: Listens,
    pub address: SocketAddr,
    pub recorder: Recorder,
    pub instructions: watch::Receiver<Instructions>,
}

impl Listener {
    /// Runs until the test stops it.
    pub async fn run(mut self) {
        while self.instructions.borrow().lifecycle == Lifecycle::Connected {
            if let Ok(Some(socket)) = timeout(MAX_SILENCE, self.open()).await {
                self.use_socket(socket).await;
                self.write(Action::Ended { code: None });
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.write(Action::Left);
    }

    fn write(&self, action: Action) {
        self.recorder.write(self.index, action);
    }

    fn guest(&self) -> u64 {
        self.index as u64 + 1
    }

    async fn open(&self) -> Option<WebSocket> {
        let cookie = guest_cookie(self.guest());
        let path = match self.listens {
            Listens::ToMessages => chat_path(&self.room),
            Listens::ToPushes => format!("/ws/push/{}", encoded(&self.room)),
        };
        let origin = format!("http://{}", self.address);
        let headers = [("cookie", cookie.clone()), ("origin", origin)];
        let socket = WebSocket::connect(self.address, &path, &headers).await.ok()?;
        if self.listens == Listens::ToPushes {
            let start =
                Request::get(&format!("/push?room={}", encoded(&self.room))).header("Cookie", &cookie);
            let mut connection = Connection::try_connect(self.address).await.ok()?;
            connection.try_send(&start.bytes(self.address)).await.ok()?;
            (connection.try_response().await?.status == 200).then_some(())?;
        }
        self.write(Action::Opened { user: format!("{:016x}", self.guest()) });
        Some(socket)
    }

    async fn use_socket(&mut self, mut socket: WebSocket) {
        loop {
            let lifecycle = self.instructions.borrow_and_update().lifecycle;
            match lifecycle {
                Lifecycle::Connected => {}
                Lifecycle::Vanishes | Lifecycle::Away => return,
                Lifecycle::Leaves => {
                    timeout(MAX_SILENCE, socket.close()).await.ok();
                    return;
                }
            }
            // At rest a room says nothing for longer.
            let limit = match self.listens {
                Listens::ToMessages => MAX_SILENCE * 10,
                Listens::ToPushes => MAX_SILENCE,
            };
            tokio::select! {
                message = timeout(limit, socket.next_message()) => match message {
                    Ok(Some(Message::Text(text))) => self.take(&text),
                    Ok(Some(Message::Close(_)) | None) | Err(_) => return,
                    Ok(Some(_)) => {}
                },
                changed = self.instructions.changed() => if changed.is_err() { return },
            }
        }
    }

    fn take(&self, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("a frame in JSON");
        let text = frame["message"].as_str().expect("a message in each frame of the plain wire");
        self.write(match self.listens {
            Listens::ToMessages => Action::Heard { text: without_prefix(text) },
            Listens::ToPushes => Action::Ticked,
        });
    }
}
