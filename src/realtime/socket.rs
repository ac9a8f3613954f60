//! One socket, as other tasks see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use bytes::Bytes;
use once_cell::race::OnceBox;

use crate::auth::identity::Identity;
use crate::realtime::backlog::Limits;
use crate::realtime::outbox::Outbox;
use crate::realtime::renderer::Wire;
use crate::realtime::subscriptions::Subscriptions;
use crate::realtime::tick::Tick;
use crate::wire::close::{Close, CloseCode};
use crate::wire::frame::Transport;

/// The time between two pings of a peer, in seconds.
pub const PING_INTERVAL_SECONDS: u32 = 25;
/// The time without a byte from the peer after which the socket is closed, in seconds, if nothing
/// was on its way.
const MAX_SILENCE_SECONDS: u32 = 60;
/// Why a socket is closed whose client has not connected until the first ping.
pub const NOT_CONNECTED: &str = "expected a connect request";
/// The slowest peer that is waited for, in bytes a second. It answers a ping after it has read what
/// was written before, of which a proxy may hold megabytes.
const MIN_READ_RATE: u32 = 2048;
/// The longest wait for a peer that reads, in seconds.
const MAX_READ_SECONDS: u32 = 900;

/// One socket, as other tasks see it.
pub(crate) struct Socket {
    /// The identity that the request has.
    identity: Arc<Identity>,
    /// How the client connects, in protocols in which clients do that.
    connection: OnceBox<Connecting>,
    outbox: Outbox,
    subscriptions: Subscriptions,
    /// When the peer last sent a byte, on the clock of [`Context::seconds`].
    last_read_at: AtomicU32,
    /// What the outbox had written at the last two keepalives, the older first.
    written: [AtomicU32; 2],
    /// What the outbox had written before the peer last sent a byte. The peer may not have read
    /// what was written since.
    written_before_read: AtomicU32,
    /// The bytes that are held of an incomplete message of the peer.
    incomplete_bytes: AtomicU32,
    /// When the first of them arrived; [`u32::MAX`] without any.
    incomplete_since: AtomicU32,
    /// When the peer is pinged next.
    ping_at: AtomicU32,
    /// When the client has to be revalidated.
    known_until: AtomicU32,
}

/// How the client of a socket connects.
struct Connecting {
    /// The identity that the client connects with.
    identity: Arc<Identity>,
    state: AtomicU8,
    /// The pings that the client has not answered. One that reads slowly has several before it.
    unanswered_pings: AtomicU8,
}

impl Connecting {
    fn new(identity: &Arc<Identity>) -> Self {
        let identity = Arc::clone(identity);
        Self { identity, state: AtomicU8::new(PENDING), unanswered_pings: AtomicU8::new(0) }
    }
}

/// The request to connect is being carried out.
const PENDING: u8 = 0;
/// The client has connected.
const CONNECTED: u8 = 1;
/// The request to connect was refused.
const FAILED: u8 = 2;

impl Socket {
    /// Creates a socket whose peer last sent a byte `now`, in seconds of its node.
    pub(crate) fn new(wire: Wire, identity: Arc<Identity>, limits: Limits, now: u32) -> Self {
        Self {
            identity,
            connection: OnceBox::new(),
            outbox: Outbox::new(wire, limits),
            subscriptions: Subscriptions::default(),
            last_read_at: AtomicU32::new(now),
            written: [const { AtomicU32::new(0) }; 2],
            written_before_read: AtomicU32::new(0),
            incomplete_bytes: AtomicU32::new(0),
            incomplete_since: AtomicU32::new(u32::MAX),
            ping_at: AtomicU32::new(now + PING_INTERVAL_SECONDS),
            known_until: AtomicU32::new(u32::MAX),
        }
    }

    /// Returns the client's identity.
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        self.connection.get().map_or(&self.identity, |connection| &connection.identity)
    }

    /// Sets the identity with which the client connects.
    pub(crate) fn connect(&self, identity: &Arc<Identity>) {
        // Once: requests are carried out in turn.
        let _ = self.connection.set(Box::new(Connecting::new(identity)));
    }

    /// Records whether the client has connected, after which it does not try again.
    pub(crate) fn end_connect(&self, has_connected: bool) {
        let connection = self.connection.get_or_init(|| Box::new(Connecting::new(&self.identity)));
        connection.state.store(if has_connected { CONNECTED } else { FAILED }, Ordering::Relaxed);
    }

    /// Returns whether the client has to connect before it does anything else.
    pub(crate) fn awaits_connect(&self) -> bool {
        self.wire().connects && self.connect_state() != Some(CONNECTED)
    }

    /// Returns whether the client may connect: it has not tried yet.
    pub(crate) fn may_connect(&self) -> bool {
        self.connect_state().is_none()
    }

    /// Returns whether the client has connected or is about to.
    pub(crate) fn connects(&self) -> bool {
        matches!(self.connect_state(), Some(PENDING | CONNECTED))
    }

    fn connect_state(&self) -> Option<u8> {
        Some(self.connection.get()?.state.load(Ordering::Relaxed))
    }

    /// Records that the client answers a ping. Returns whether one asked for it.
    pub(crate) fn take_pong(&self) -> bool {
        let pings = self.connection.get().map(|connection| &connection.unanswered_pings);
        let take = |pings: &AtomicU8| {
            pings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pings| pings.checked_sub(1)).is_ok()
        };
        pings.is_some_and(take)
    }

    /// Pings the peer.
    fn ping(&self) {
        if let Some(Connecting { unanswered_pings, .. }) = self.connection.get() {
            let add = |pings: u8| pings.checked_add(1);
            // One that never answers keeps as many as fit.
            let _ = unanswered_pings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
        self.send(&self.wire().ping());
    }

    /// Sets when the client has to be revalidated, in seconds of its node.
    pub(crate) fn set_known_until(&self, then: u32) {
        self.known_until.store(then, Ordering::Relaxed);
    }

    /// Makes the client be revalidated at this time, or earlier as before, in seconds of its node.
    pub(crate) fn ask_at(&self, then: u32) {
        self.known_until.fetch_min(then, Ordering::Relaxed);
    }

    /// Returns whether the client has to be revalidated.
    pub(crate) fn is_due(&self, now: u32) -> bool {
        now >= self.known_until.load(Ordering::Relaxed)
    }

    /// Returns its wire.
    pub(crate) fn wire(&self) -> Wire {
        self.outbox.wire()
    }

    /// Returns the outbox.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Returns its subscriptions beside that of its path.
    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// Sends whole frames.
    pub(crate) fn send(&self, frames: &Bytes) {
        self.outbox.send(frames);
    }

    /// Sends a close frame; the socket's task completes the closing handshake.
    pub(crate) fn close(&self, close: &Close) {
        self.outbox.close(close);
    }

    /// Records that the peer sent a byte.
    pub(crate) fn record_read(&self, now: u32) {
        self.last_read_at.store(now, Ordering::Relaxed);
    }

    /// Pings the peer every [`PING_INTERVAL_SECONDS`], and closes the socket when the peer has sent
    /// no byte for [`MAX_SILENCE_SECONDS`] and the time to read what was on its way. Called once a
    /// second. Time in which the node was frozen does not count.
    ///
    /// Closes it, too, when a message is incomplete after the time of the tick. Returns the bytes
    /// that are held of such a message.
    pub(crate) fn keepalive(&self, tick: Tick) -> u32 {
        let Tick { now, last, is_frozen, max_message_seconds } = tick;
        if is_frozen {
            self.record_read(now);
        }
        let last_read_at = self.last_read_at.load(Ordering::Relaxed);
        let [older, newer] = &self.written;
        let before = older.swap(newer.swap(self.outbox.written(), Ordering::Relaxed), Ordering::Relaxed);
        // Perhaps in the second of the last keepalive, and before that.
        if last_read_at >= last {
            self.written_before_read.store(before, Ordering::Relaxed);
        }
        // Clients of Server-Sent Events cannot answer; one that does not read is noticed when
        // writing.
        let answers = self.wire().transport == Transport::WebSocket;
        let incomplete_since = self.incomplete_since.load(Ordering::Relaxed);
        if now.saturating_sub(incomplete_since) >= max_message_seconds {
            self.close(&Close::new(CloseCode::Unresponsive, "a message took too long"));
        } else if answers && now.saturating_sub(last_read_at) >= self.max_silence() {
            self.close(&CloseCode::Unresponsive.into());
        } else if now >= self.ping_at.load(Ordering::Relaxed) {
            if self.awaits_connect() {
                self.close(&Close::new(CloseCode::Unresponsive, NOT_CONNECTED));
            }
            self.ping_at.store(now + PING_INTERVAL_SECONDS, Ordering::Relaxed);
            self.ping();
        }
        self.incomplete_bytes.load(Ordering::Relaxed)
    }

    /// Records the bytes that are held of an incomplete message, and when its first byte arrived.
    pub(crate) fn record_incomplete(&self, bytes: usize, since: Option<u32>) {
        self.incomplete_bytes.store(u32::try_from(bytes).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.incomplete_since.store(since.unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Returns the time without a byte from the peer after which the socket is closed, in seconds.
    fn max_silence(&self) -> u32 {
        let unread = self.outbox.written().wrapping_sub(self.written_before_read.load(Ordering::Relaxed));
        MAX_SILENCE_SECONDS + (unread / MIN_READ_RATE).min(MAX_READ_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::subscription::tests::socket;

    #[test]
    fn a_client_answers_each_ping_once() {
        let socket = socket();
        socket.end_connect(true);
        assert!(!socket.take_pong());
        for now in [PING_INTERVAL_SECONDS, 2 * PING_INTERVAL_SECONDS] {
            socket.record_read(now);
            socket.keepalive(Tick { now, last: now - 1, is_frozen: false, max_message_seconds: 180 });
        }
        assert_eq!([(); 3].map(|()| socket.take_pong()), [true, true, false]);
    }
}
