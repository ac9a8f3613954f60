//! The pipelined connection: this node's subscriptions, its appends, and its users.
//!
//! Every message passes it twice. What many sockets append in one turn leaves in one write; what
//! Redis sent meanwhile is read at once, pushes and replies alike, without waking a task in
//! between. All other commands use a connection of the client library, see `commands`.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::FutureExt;
use redis::ConnectionInfo;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::io::poll_read_buf;

use crate::config::redis_address::RedisAddress;
use crate::layer::error::LayerError;
use crate::layer::redis::command_queue::{
    APPEND_TIMEOUT, ChannelRequest, LogEnds, PubSub, QueuedRequest, Subscribed,
};
use crate::layer::redis::diagnosis;
use crate::layer::redis::dial::{Io, dial};
use crate::layer::redis::fault::Fault;
use crate::layer::redis::log_end::LogEndEncoder;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::publish_batch::{BatchEncoder, PublishBatch};
use crate::layer::redis::resp::{self, Value};
use crate::layer::redis::scripts::{Script, Scripts};
use crate::layer::redis::seat_batch::{SeatBatch, SeatEncoder};
use crate::layer::redis::shards::{Shard, Shards, is_redirection};
use crate::telemetry::{METRICS, RedisRefusal};
use crate::wire::event::Event;
use crate::wire::group::Group;

/// Time between two searches for appends that took too long.
const TIMEOUT_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;
/// With more bytes than this on their way to Redis, nothing is added.
const MAX_UNSENT_BYTES: usize = 1024 * 1024;

/// Encodes what the pipelines send.
pub(super) struct Encoders {
    pub(super) scripts: Arc<Scripts>,
    pub(super) batches: BatchEncoder,
    pub(super) seats: SeatEncoder,
    pub(super) log_ends: LogEndEncoder,
}

/// Receives what a pipeline has for this node, in the order in which Redis sent it.
pub(super) trait PipelineListener {
    /// Messages were pushed.
    fn on_pushed(&self, pushed: &[Pushed<'_>]);
    /// Replies about the users of a group have events for its sockets.
    fn on_presence(&self, group: &Group, events: Vec<Event>);
    /// The server ended the subscription to a channel: its slot has moved.
    fn on_displaced(&self, channel: &str);
}

/// The pipelined connection to a shard.
pub(super) struct Pipeline<'a> {
    shards: &'a Shards,
    shard: &'a Shard,
    encoders: &'a Encoders,
    membership: &'a LocalMembership,
    io: Box<dyn Io>,
    received: BytesMut,
    out: Vec<u8>,
    /// Bytes of `out` that are written.
    written: usize,
    pending: VecDeque<PendingReply>,
    /// How the run id of the server begins (`INFO server`), which a restart and a failover change;
    /// empty if it is not known.
    run_id: String,
    /// What came of the last subscription to channels.
    subscribed: Result<LogEnds, LayerError>,
    /// The places of its groups whose slots are at other shards.
    displaced: Vec<usize>,
}

/// What Redis has yet to reply to; it replies in order.
enum PendingReply {
    Batch(PublishBatch),
    /// One push for each channel. Without a sender, more replies of the request follow.
    Channels(usize, ChannelsReply),
    /// The push for a channel of sharded pub/sub, which is that of the group at this place.
    ShardChannel {
        name: String,
        subscribes: bool,
        place: Option<usize>,
        reply: ChannelsReply,
    },
    /// The end of a group's log; the last one of a request has the sender.
    LogEnd(ChannelsReply),
    Seats(SeatBatch),
    ScriptLoad,
    /// The node's entry in a group's set, which is written again now and then.
    Ignored,
}

/// What the last reply of a request for channels completes.
type ChannelsReply = Option<oneshot::Sender<Result<LogEnds, LayerError>>>;

/// A message as Redis pushes it: its channel and its payload.
pub(super) type Pushed<'a> = (&'a str, &'a [u8]);

impl<'a> Pipeline<'a> {
    /// Connects, authenticates and loads the scripts.
    ///
    /// # Errors
    /// Fails when Redis cannot be reached, or refuses.
    pub(super) async fn open(
        shards: &'a Shards,
        shard: &'a Shard,
        encoders: &'a Encoders,
        membership: &'a LocalMembership,
        server: &ConnectionInfo,
    ) -> io::Result<Self> {
        let io = dial(shard.place().address(), server).await?;
        let mut pipeline = Self {
            shards,
            shard,
            encoders,
            membership,
            io,
            received: BytesMut::with_capacity(READ_BYTES),
            out: Vec::new(),
            written: 0,
            pending: VecDeque::new(),
            run_id: String::new(),
            subscribed: Ok(Vec::new()),
            displaced: Vec::new(),
        };
        pipeline.handshake(shards.address(), server).await?;
        Ok(pipeline)
    }

    /// Sends `HELLO 3`, `SELECT`, `SCRIPT LOAD` and `INFO server`.
    async fn handshake(&mut self, address: &RedisAddress, server: &ConnectionInfo) -> io::Result<()> {
        let settings = server.redis_settings();
        let hello = diagnosis::hello(settings);
        resp::command(&mut self.out, &hello.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let database = settings.db();
        if database != 0 {
            resp::command(&mut self.out, &[b"SELECT", database.to_string().as_bytes()]);
        }
        let scripts = &self.encoders.scripts;
        for script in [&scripts.append, &scripts.seat, &scripts.log_end] {
            encode_load(script, &mut self.out);
        }
        resp::command(&mut self.out, &[b"INFO", b"server"]);
        let fault = |fault: Fault| io::Error::other(fault.cause);
        for _ in 0..4 + usize::from(database != 0) {
            loop {
                let foreign = |_| fault(diagnosis::foreign(&self.received));
                match Value::parse(&self.received).map_err(foreign)? {
                    Some((Value::Error(text), _)) => {
                        let text = String::from_utf8_lossy(text);
                        METRICS.redis_refused(RedisRefusal::from_message(&text));
                        return Err(fault(diagnosis::explain(&text, address)));
                    }
                    Some((_, length)) => {
                        self.received.advance(length);
                        break;
                    }
                    None => self.exchange().await?,
                }
            }
        }
        loop {
            match Value::parse(&self.received).map_err(|_| fault(diagnosis::foreign(&self.received)))? {
                Some((reply, length)) => {
                    // Where it is refused, the script asks, or does without.
                    run_id(&reply).unwrap_or_default().clone_into(&mut self.run_id);
                    self.received.advance(length);
                    return Ok(());
                }
                None => self.exchange().await?,
            }
        }
    }

    /// Sends what is queued and passes on what is pushed, all of one turn at once, until the
    /// connection ends; returns why it ended.
    ///
    /// What is pushed and what is replied is passed on in the order in which Redis sent it: an
    /// event about a group's users counts for the reply behind it.
    pub(super) async fn run(&mut self, listener: &impl PipelineListener) -> String {
        let mut timeout_check = interval(TIMEOUT_CHECK_INTERVAL);
        timeout_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let queue = &self.shard.queue;
            let turn = tokio::select! {
                exchanged = self.exchange() => match exchanged {
                    Ok(()) => self.receive(listener),
                    Err(error) => Err(error.to_string()),
                },
                () = queue.changed.notified() => {
                    self.send_queued();
                    Ok(())
                }
                _ = timeout_check.tick() => {
                    self.send_queued();
                    // What came while this node was busy, or stood still, is not late.
                    let read = match self.exchange().now_or_never() {
                        None => Ok(()),
                        Some(Ok(())) => self.receive(listener),
                        Some(Err(error)) => Err(error.to_string()),
                    };
                    read.and_then(|()| self.time_out_appends())
                }
            };
            if let Err(cause) = turn {
                return cause;
            }
        }
    }

    /// Writes as much of `out` as the socket takes, and reads something. What Redis said before it
    /// closed the connection is read in spite of a failed write: it says why.
    async fn exchange(&mut self) -> io::Result<()> {
        self.received.reserve(READ_BYTES);
        poll_fn(|context| {
            while self.written < self.out.len() {
                match Pin::new(&mut self.io).poll_write(context, &self.out[self.written..]) {
                    Poll::Ready(Ok(written)) => self.written += written,
                    Poll::Ready(Err(error)) => {
                        let read = poll_read_buf(Pin::new(&mut self.io), context, &mut self.received);
                        let has_read = matches!(read, Poll::Ready(Ok(1..)));
                        return Poll::Ready(if has_read { Ok(()) } else { Err(error) });
                    }
                    Poll::Pending => break,
                }
            }
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
            }
            // TLS holds what the socket did not take. What is read says why it failed.
            let _ = Pin::new(&mut self.io).poll_flush(context);
            match ready!(poll_read_buf(Pin::new(&mut self.io), context, &mut self.received))? {
                0 => Poll::Ready(Err(io::Error::other("Redis closed the connection"))),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Encodes what is queued as commands; the events of one group as one. While Redis takes
    /// nothing, the queue waits.
    fn send_queued(&mut self) {
        if self.out.len() > MAX_UNSENT_BYTES {
            return;
        }
        let requests = self.shard.queue.take();
        let mut appends = Vec::with_capacity(requests.len());
        for request in requests {
            match request {
                QueuedRequest::Append(append) => appends.push(append),
                QueuedRequest::Channels(request) => self.send_channels(request),
            }
        }
        // Behind the subscriptions that they need.
        for batch in self.membership.take_calls(self.shard.id) {
            self.send_seats(batch);
        }
        // Stable: the events of each group keep their order.
        appends.sort_by(|one, other| one.group.cmp(&other.group));
        let mut batch: Option<PublishBatch> = None;
        for append in appends {
            let rejected = match &mut batch {
                Some(batch) => batch.push(append).err(),
                None => Some(append),
            };
            if let Some(append) = rejected {
                self.send_batch(batch.replace(PublishBatch::new(append)));
            }
        }
        self.send_batch(batch);
    }

    fn send_channels(&mut self, request: ChannelRequest) {
        let ChannelRequest { subscribes, kind, names, groups, reply } = request;
        let locates = subscribes && !groups.is_empty();
        let mut reply = Some(reply);
        self.subscribed = Ok(Vec::with_capacity(groups.len()));
        self.displaced.clear();
        match kind {
            PubSub::Plain => {
                let command = if subscribes { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
                let texts = std::iter::once(command).chain(names.iter().map(String::as_str));
                resp::command(&mut self.out, &texts.map(str::as_bytes).collect::<Vec<_>>());
                self.pending.push_back(PendingReply::Channels(names.len(), reply.take_if(|_| !locates)));
            }
            // One command for each: a command's channels have to be in one slot.
            PubSub::Sharded => {
                let command = if subscribes { "SSUBSCRIBE" } else { "SUNSUBSCRIBE" };
                let last = names.len() - 1;
                for (place, name) in names.into_iter().enumerate() {
                    resp::command(&mut self.out, &[command.as_bytes(), name.as_bytes()]);
                    let reply = reply.take_if(|_| !locates && place == last);
                    let place = (place < groups.len()).then_some(place);
                    self.pending.push_back(PendingReply::ShardChannel { name, subscribes, place, reply });
                }
            }
        }
        for group in &groups {
            let commands = self.encoders.seats.encode_node(group, subscribes, &mut self.out);
            self.pending.extend((0..commands).map(|_| PendingReply::Ignored));
        }
        if subscribes {
            self.membership.on_subscribe_sent(self.shard.id, &groups);
        }
        if locates {
            for (position, group) in groups.iter().enumerate() {
                self.encoders.log_ends.encode(group, &mut self.out);
                let is_last = position + 1 == groups.len();
                self.pending.push_back(PendingReply::LogEnd(reply.take_if(|_| is_last)));
            }
        }
    }

    fn send_seats(&mut self, batch: SeatBatch) {
        self.encoders.seats.encode(&batch, &mut self.out);
        self.pending.push_back(PendingReply::Seats(batch));
    }

    fn send_batch(&mut self, batch: Option<PublishBatch>) {
        if let Some(batch) = batch {
            self.encoders.batches.encode(&batch, &self.run_id, &mut self.out);
            self.pending.push_back(PendingReply::Batch(batch));
        }
    }

    fn send_load(&mut self, script: &Script) {
        encode_load(script, &mut self.out);
        self.pending.push_back(PendingReply::ScriptLoad);
    }

    /// Parses everything that was received: replies complete their requests, pushes are passed on
    /// together.
    fn receive(&mut self, listener: &impl PipelineListener) -> Result<(), String> {
        let mut received = std::mem::take(&mut self.received);
        let (mut at, mut pushed) = (0, Vec::new());
        while let Some((value, length)) = Value::parse(&received[at..]).map_err(|_| "this is not RESP")? {
            at += length;
            match value {
                Value::Push(parts) => match parts.as_slice() {
                    [Value::Text(b"message" | b"smessage"), channel, Value::Text(payload)] => {
                        pushed.extend(channel.text().map(|channel| (channel, *payload)));
                    }
                    [Value::Text(b"subscribe" | b"unsubscribe"), ..] => self.on_channel_changed(),
                    [Value::Text(kind @ (b"ssubscribe" | b"sunsubscribe")), channel, ..] => {
                        let name = channel.text().unwrap_or_default();
                        self.on_shard_channel_changed(*kind == b"ssubscribe", name, listener);
                    }
                    _ => {}
                },
                reply => {
                    if matches!(self.pending.front(), Some(PendingReply::Seats(_))) && !pushed.is_empty() {
                        listener.on_pushed(&pushed);
                        pushed.clear();
                    }
                    self.on_reply(&reply, listener)?;
                }
            }
        }
        if !pushed.is_empty() {
            listener.on_pushed(&pushed);
        }
        drop(pushed);
        received.advance(at); // the rest is the beginning of the next value
        self.received = received;
        Ok(())
    }

    /// Redis confirmed one channel of a `SUBSCRIBE` or `UNSUBSCRIBE`.
    fn on_channel_changed(&mut self) {
        let Some(PendingReply::Channels(left, _)) = self.pending.front_mut() else { return };
        *left -= 1;
        if *left == 0
            && let Some(PendingReply::Channels(_, reply)) = self.pending.pop_front()
        {
            self.complete(reply);
        }
    }

    /// Redis confirmed a channel of sharded pub/sub, or ended the subscription by itself.
    fn on_shard_channel_changed(
        &mut self,
        is_subscribed: bool,
        channel: &str,
        listener: &impl PipelineListener,
    ) {
        match self.pending.front() {
            Some(PendingReply::ShardChannel { name, subscribes, .. })
                if *name == channel && *subscribes == is_subscribed =>
            {
                if let Some(PendingReply::ShardChannel { reply, .. }) = self.pending.pop_front() {
                    self.complete(reply);
                }
            }
            _ if is_subscribed => {}
            _ => {
                self.shards.doubt();
                listener.on_displaced(channel);
            }
        }
    }

    /// All replies of a request for channels have arrived, if this is the last one's sender.
    fn complete(&mut self, reply: ChannelsReply) {
        if let Some(reply) = reply {
            let subscribed = std::mem::replace(&mut self.subscribed, Ok(LogEnds::new()));
            let _ = reply.send(subscribed); // the caller may have given up
        }
    }

    fn on_reply(&mut self, reply: &Value<'_>, listener: &impl PipelineListener) -> Result<(), String> {
        let refusal = match reply {
            Value::Error(text) => Some(String::from_utf8_lossy(text)),
            _ => None,
        };
        let pending = self.pending.pop_front().ok_or("Redis sent a reply without a request")?;
        match (pending, refusal) {
            (PendingReply::ScriptLoad, None) | (PendingReply::Ignored, _) => {}
            (PendingReply::ScriptLoad, Some(refusal)) => return Err(refusal.into_owned()),
            (PendingReply::Batch(batch), None) => {
                METRICS.redis_round_trip.observe(batch.age().as_secs_f64());
                batch.complete(reply);
            }
            // The scripts were flushed, or a replica has become the master.
            (PendingReply::Batch(batch), Some(refusal)) if refusal.starts_with("NOSCRIPT") => {
                let encoders = self.encoders;
                self.send_load(&encoders.scripts.append);
                self.send_batch(Some(batch));
            }
            (PendingReply::Batch(batch), Some(refusal)) if is_redirection(&refusal) => {
                self.shards.doubt();
                batch.redirect();
            }
            (PendingReply::Batch(batch), Some(refusal)) => {
                let error = LayerError::refused(refusal);
                batch.fail(&error);
                // A demoted master: the next connection asks for the current one.
                if let LayerError::Refused { kind: RedisRefusal::ReadOnly, message } = error {
                    return Err(message);
                }
            }
            (PendingReply::Seats(batch), None) => {
                let now = Instant::now();
                for (call, reply) in batch.replies(reply) {
                    let events = self.membership.on_reply(call, reply, now);
                    if !events.is_empty() {
                        listener.on_presence(&call.group, events);
                    }
                }
            }
            (PendingReply::Seats(batch), Some(refusal)) if refusal.starts_with("NOSCRIPT") => {
                let encoders = self.encoders;
                self.send_load(&encoders.scripts.seat);
                self.send_seats(batch);
            }
            (PendingReply::Seats(batch), Some(refusal)) => {
                self.membership.on_refused(&batch.calls, Instant::now());
                if is_redirection(&refusal) {
                    self.shards.doubt();
                    return Ok(());
                }
                // Counts it, and warns of the first of its kind.
                if let LayerError::Refused { kind: RedisRefusal::ReadOnly, message } =
                    LayerError::refused(refusal)
                {
                    return Err(message);
                }
            }
            (PendingReply::Channels(_, reply), refusal) => {
                self.subscribed =
                    Err(refusal.map_or(LayerError::UnexpectedReply("SUBSCRIBE"), LayerError::refused));
                self.complete(reply);
            }
            (PendingReply::ShardChannel { subscribes, place, reply, .. }, refusal) => {
                let refusal = refusal.unwrap_or_default();
                match place {
                    _ if is_redirection(&refusal) && !subscribes => {} // the server has ended it
                    Some(place) if is_redirection(&refusal) => self.displaced.push(place),
                    _ => self.subscribed = Err(LayerError::refused(refusal)),
                }
                self.complete(reply);
            }
            (PendingReply::LogEnd(last), _) => {
                if let Ok(ends) = &mut self.subscribed {
                    ends.push(match LogEndEncoder::parse(reply) {
                        _ if self.displaced.contains(&ends.len()) => Subscribed::Displaced,
                        Some(end) => Subscribed::At(end),
                        None => Subscribed::Unread,
                    });
                }
                self.complete(last);
            }
        }
        Ok(())
    }

    /// Fails the appends that took too long, and ends the connection if one of them was sent: a
    /// frozen Redis that wakes up as the master that it was would take what it finds here, though
    /// another server is the master now.
    fn time_out_appends(&mut self) -> Result<(), String> {
        self.shard.queue.time_out_appends();
        let mut is_late = false;
        for pending in &mut self.pending {
            if let PendingReply::Batch(batch) = pending
                && batch.is_late(APPEND_TIMEOUT)
            {
                batch.time_out();
                is_late = true;
            }
        }
        if is_late { Err("Redis did not append an event in time".to_owned()) } else { Ok(()) }
    }
}

/// Writes the command that loads a script.
fn encode_load(script: &Script, out: &mut Vec<u8>) {
    resp::command(out, &[b"SCRIPT", b"LOAD", script.text().as_bytes()]);
}

/// Returns the first digits of the run id in a reply to `INFO server`, as many as are in an epoch.
fn run_id<'a>(reply: &Value<'a>) -> Option<&'a str> {
    reply.text()?.lines().find_map(|line| line.strip_prefix("run_id:"))?.get(..8)
}

impl Drop for Pipeline<'_> {
    /// Callers do not wait for replies that will not come.
    fn drop(&mut self) {
        self.shard.queue.close();
    }
}
