//! The connection: this node's end of the line.
//!
//! Every message passes it, so it is the fast path to Redis and back: what many sockets ask in one turn leaves in one
//! write, and what Redis said meanwhile is read at once, pushes and answers alike, without waking anybody in between.
//! All other commands have a connection of the client library (see `commands`).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use redis::ConnectionInfo;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::io::poll_read_buf;

use super::address::{Io, dial};
use super::resp::{self, Value};
use crate::layer::error::LayerError;
use crate::layer::redis::command_queue::{Channels, CommandQueue, PATIENCE, Request};
use crate::layer::redis::publish_batch::{Appender, Batch};
use crate::telemetry::{METRICS, RedisRefusal};

/// How often it is looked for events that took too long.
const LOOK: Duration = Duration::from_millis(100);
/// Read at a time.
const READ: usize = 64 * 1024;
/// With more than that on its way to Redis, nothing is added.
const MOST_UNSENT: usize = 1024 * 1024;

pub(super) struct Pipeline<'a> {
    line: &'a CommandQueue,
    appender: &'a Appender,
    io: Box<dyn Io>,
    received: BytesMut,
    out: Vec<u8>,
    /// Bytes of it that are written.
    written: usize,
    waiting: VecDeque<Waiting>,
}

/// What Redis has yet to answer; it answers in order.
enum Waiting {
    Batch(Batch),
    /// One push for each channel.
    Channels(usize, oneshot::Sender<Result<(), LayerError>>),
    Script,
}

/// An event as Redis pushes it: its channel and its bytes.
pub(super) type Pushed<'a> = (&'a str, &'a [u8]);

impl<'a> Pipeline<'a> {
    /// Connects, logs in and brings the script along.
    ///
    /// # Errors
    /// When Redis cannot be reached, or refuses.
    pub(super) async fn open(
        line: &'a CommandQueue,
        appender: &'a Appender,
        server: &ConnectionInfo,
    ) -> io::Result<Self> {
        let io = dial(server).await?;
        let mut connection = Self {
            line,
            appender,
            io,
            received: BytesMut::with_capacity(READ),
            out: Vec::new(),
            written: 0,
            waiting: VecDeque::new(),
        };
        connection.greet(server).await?;
        Ok(connection)
    }

    async fn greet(&mut self, server: &ConnectionInfo) -> io::Result<()> {
        let settings = server.redis_settings();
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(password) = settings.password() {
            let user = settings.username().unwrap_or("default");
            hello.extend([&b"AUTH"[..], user.as_bytes(), password.as_bytes()]);
        }
        resp::command(&mut self.out, &hello);
        let database = settings.db();
        if database != 0 {
            resp::command(&mut self.out, &[b"SELECT", database.to_string().as_bytes()]);
        }
        Appender::load(&mut self.out);
        for _ in 0..2 + usize::from(database != 0) {
            loop {
                match Value::read(&self.received).map_err(|_| io::Error::other("this is not Redis"))? {
                    Some((Value::Error(text), _)) => {
                        return Err(io::Error::other(String::from_utf8_lossy(text).into_owned()));
                    }
                    Some((_, length)) => {
                        self.received.advance(length);
                        break;
                    }
                    None => self.exchange().await?,
                }
            }
        }
        Ok(())
    }

    /// Says what is asked and hands on what is heard, all of one turn at once, until the connection ends; returns why.
    pub(super) async fn run(&mut self, mut turn: impl FnMut(&[Pushed<'_>])) -> String {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let line = self.line;
            let heard = tokio::select! {
                read = self.exchange() => match read {
                    Ok(()) => self.hear(&mut turn),
                    Err(error) => Err(error.to_string()),
                },
                () = line.changed.notified() => {
                    self.say();
                    Ok(())
                }
                _ = look.tick() => {
                    self.say();
                    self.give_up()
                }
            };
            if let Err(cause) = heard {
                return cause;
            }
        }
    }

    /// Writes what is to be written, as far as that goes, and reads something.
    async fn exchange(&mut self) -> io::Result<()> {
        self.received.reserve(READ);
        poll_fn(|context| {
            while self.written < self.out.len() {
                match Pin::new(&mut self.io).poll_write(context, &self.out[self.written..]) {
                    Poll::Ready(written) => self.written += written?,
                    Poll::Pending => break,
                }
            }
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
            }
            match ready!(poll_read_buf(Pin::new(&mut self.io), context, &mut self.received))? {
                0 => Poll::Ready(Err(io::Error::other("Redis closed the connection"))),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Puts what was asked into commands; the events of one group into one. While Redis takes nothing, it waits.
    fn say(&mut self) {
        if self.out.len() > MOST_UNSENT {
            return;
        }
        let requests = self.line.take();
        let mut appends = Vec::with_capacity(requests.len());
        for request in requests {
            match request {
                Request::Append(append) => appends.push(append),
                Request::Channels(Channels { command, names, done }) => {
                    let texts = std::iter::once(command).chain(names.iter().map(String::as_str));
                    resp::command(&mut self.out, &texts.map(str::as_bytes).collect::<Vec<_>>());
                    self.waiting.push_back(Waiting::Channels(names.len(), done));
                }
            }
        }
        // Stable: each group's events keep their order.
        appends.sort_by(|one, other| one.group.cmp(&other.group));
        let mut batch: Option<Batch> = None;
        for append in appends {
            let apart = match &mut batch {
                Some(batch) => batch.take(append).err(),
                None => Some(append),
            };
            if let Some(append) = apart {
                self.write(batch.replace(Batch::new(append)));
            }
        }
        self.write(batch);
    }

    fn write(&mut self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.appender.write(&batch, &mut self.out);
            self.waiting.push_back(Waiting::Batch(batch));
        }
    }

    /// Takes everything that Redis has said: answers to those who asked, the rest as one turn.
    fn hear(&mut self, turn: &mut impl FnMut(&[Pushed<'_>])) -> Result<(), String> {
        let mut received = std::mem::take(&mut self.received);
        let (mut at, mut pushed) = (0, Vec::new());
        while let Some((value, length)) = Value::read(&received[at..]).map_err(|_| "this is not RESP")? {
            at += length;
            match value {
                Value::Push(parts) => match parts.as_slice() {
                    [Value::Text(b"message"), channel, Value::Text(payload)] => {
                        pushed.extend(channel.text().map(|channel| (channel, *payload)));
                    }
                    [Value::Text(b"subscribe" | b"unsubscribe"), ..] => self.confirmed(),
                    _ => {}
                },
                answer => self.answered(&answer)?,
            }
        }
        if !pushed.is_empty() {
            turn(&pushed);
        }
        drop(pushed);
        received.advance(at); // the rest is the beginning of what comes next
        self.received = received;
        Ok(())
    }

    fn confirmed(&mut self) {
        let Some(Waiting::Channels(left, _)) = self.waiting.front_mut() else { return };
        *left -= 1;
        if *left == 0
            && let Some(Waiting::Channels(_, done)) = self.waiting.pop_front()
        {
            let _ = done.send(Ok(())); // whoever asked may have given up
        }
    }

    fn answered(&mut self, answer: &Value<'_>) -> Result<(), String> {
        let refused = match answer {
            Value::Error(text) => Some(String::from_utf8_lossy(text)),
            _ => None,
        };
        let waiting = self.waiting.pop_front().ok_or("Redis answered what nobody asked")?;
        match (waiting, refused) {
            (Waiting::Script, None) => {}
            (Waiting::Script, Some(why)) => return Err(why.into_owned()),
            (Waiting::Batch(batch), None) => {
                METRICS.redis_round_trip.observe(batch.age().as_secs_f64());
                batch.answer(answer);
            }
            // Somebody made Redis forget its scripts.
            (Waiting::Batch(batch), Some(why)) if why.starts_with("NOSCRIPT") => {
                Appender::load(&mut self.out);
                self.waiting.push_back(Waiting::Script);
                self.write(Some(batch));
            }
            (Waiting::Batch(batch), Some(why)) => {
                let error = LayerError::refused(why);
                batch.refuse(&error);
                // A master that was demoted is not one any more: ask who is.
                if let LayerError::Refused { kind: RedisRefusal::ReadOnly, message } = error {
                    return Err(message);
                }
            }
            (Waiting::Channels(_, done), why) => {
                let error = why.map_or(LayerError::UnexpectedReply("SUBSCRIBE"), LayerError::refused);
                let _ = done.send(Err(error));
            }
        }
        Ok(())
    }

    /// Tells the senders of events that took too long, and ends the connection over it: a Redis that was frozen wakes
    /// up as the master that it was, and what it then finds here it would take, though another one is the master now.
    fn give_up(&mut self) -> Result<(), String> {
        self.line.give_up();
        let mut late = false;
        for waiting in &mut self.waiting {
            if let Waiting::Batch(batch) = waiting
                && batch.age() >= PATIENCE
            {
                batch.time_out();
                late = true;
            }
        }
        if late { Err("Redis took too long to append an event".to_owned()) } else { Ok(()) }
    }
}

impl Drop for Pipeline<'_> {
    /// Nobody waits for what will never be said.
    fn drop(&mut self) {
        self.line.close();
    }
}
