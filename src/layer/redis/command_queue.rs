//! The line: what the tasks of this node ask of the one connection on which it hears its groups and writes into their
//! logs.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::layer::error::LayerError;
use crate::layer::redis::publish_batch::Append;

/// How long an event may take to be written, from the moment when it is given to the layer.
pub(super) const PATIENCE: Duration = Duration::from_millis(800);

#[derive(Default)]
pub(super) struct CommandQueue {
    asked: Mutex<Asked>,
    /// Something was asked.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct Asked {
    /// Somebody is there to do it.
    open: bool,
    requests: Vec<Request>,
}

pub(super) enum Request {
    Append(Append),
    Channels(Channels),
}

/// A change of what is heard.
pub(super) struct Channels {
    pub(super) command: &'static str,
    pub(super) names: Vec<String>,
    pub(super) done: oneshot::Sender<Result<(), LayerError>>,
}

impl CommandQueue {
    /// Asks for an event to be written, which is answered when Redis has; `false` if nobody is there to do it. An answer
    /// that will never come is dropped.
    pub(super) fn append(&self, append: Append) -> bool {
        self.ask(Request::Append(append)).is_ok()
    }

    /// Hears these channels from now on.
    ///
    /// # Errors
    /// When Redis refuses, or is away.
    pub(super) async fn subscribe(&self, names: Vec<String>) -> Result<(), LayerError> {
        self.channels("SUBSCRIBE", names).await
    }

    /// Hears them no longer.
    ///
    /// # Errors
    /// When Redis refuses, or is away.
    pub(super) async fn unsubscribe(&self, names: Vec<String>) -> Result<(), LayerError> {
        self.channels("UNSUBSCRIBE", names).await
    }

    async fn channels(&self, command: &'static str, names: Vec<String>) -> Result<(), LayerError> {
        let (done, wait) = oneshot::channel();
        let _ = self.ask(Request::Channels(Channels { command, names, done })); // it then drops `done`
        wait.await.unwrap_or(Err(LayerError::Unreachable("the connection is closed".into())))
    }

    fn ask(&self, request: Request) -> Result<(), Request> {
        let mut asked = self.asked.lock();
        if !asked.open {
            return Err(request);
        }
        asked.requests.push(request);
        self.changed.notify_one();
        Ok(())
    }

    /// From now on somebody does what is asked.
    pub(super) fn open(&self) {
        self.asked.lock().open = true;
    }

    /// Takes what is asked.
    pub(super) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().requests)
    }

    /// Tells the senders of events that nobody wrote in time.
    pub(super) fn give_up(&self) {
        let is_late = |request: &mut Request| matches!(request, Request::Append(append) if append.at.elapsed() >= PATIENCE);
        let late: Vec<Request> = self.asked.lock().requests.extract_if(.., is_late).collect();
        for request in late {
            if let Request::Append(append) = request {
                append.time_out();
            }
        }
    }

    /// Nobody is there any more.
    pub(super) fn close(&self) {
        *self.asked.lock() = Asked::default();
    }
}
