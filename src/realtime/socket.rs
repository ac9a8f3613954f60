//! The life of one socket: read, act, and end well, in one task.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, trace};

use crate::auth::{Identity, Standing};
use crate::http::connection::Stream;
use crate::limits::Verdict;
use crate::realtime::backlog::Limits;
use crate::realtime::catch_up::Resume;
use crate::realtime::consumer::{Action, Consumer, Kind};
use crate::realtime::outbox::Outbox;
use crate::realtime::reader::{Reader, Stop};
use crate::realtime::registration::Place;
use crate::realtime::subscription::Session;
use crate::telemetry::{Chain, METRICS};
use crate::wire::decoder::Received;
use crate::wire::frame::{Close, Frame, Wire as FrameWire};

/// How long a peer may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(2);

/// How often a peer is pinged, and how long it may be silent, in seconds.
const PING_EVERY: u32 = 25;
const SILENCE: u32 = 60;

/// One socket, as everybody but its own task sees it.
pub(crate) struct Socket {
    kind: Kind,
    identity: Arc<Identity>,
    guarded: bool,
    outbox: Outbox,
    /// When the peer was last heard, in seconds of [`Node::seconds`].
    heard: AtomicU32,
    /// When it is pinged next.
    ping_at: AtomicU32,
    /// When it is looked up again who its client is.
    known_until: AtomicU32,
}

/// How reading ended.
enum End {
    /// The peer's close frame came: all is said.
    Closed,
    /// The connection is gone.
    Gone,
    /// We closed because of what came; more of it is not read.
    Refused,
    /// We closed, and the peer may still answer properly.
    Closing,
}

impl Socket {
    /// A socket that is heard `now`, in seconds of its node.
    pub(crate) fn new(kind: Kind, identity: Arc<Identity>, limits: Limits, now: u32) -> Self {
        Self {
            kind,
            identity,
            guarded: false,
            outbox: Outbox::new(kind.wire, limits),
            heard: AtomicU32::new(now),
            ping_at: AtomicU32::new(now + PING_EVERY),
            known_until: AtomicU32::new(u32::MAX),
        }
    }

    /// The socket of this session.
    pub(crate) fn of(session: &Session, kind: Kind, limits: Limits) -> Self {
        let (node, identity) = (session.node(), session.identity());
        let socket = Self::new(kind, Arc::clone(identity), limits, node.seconds());
        socket.known_until(node.seconds_after(identity.lasts()));
        Self { guarded: session.is_guarded(), ..socket }
    }

    /// Who its client is.
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// It is known until then who its client is, in seconds of its node.
    pub(crate) fn known_until(&self, then: u32) {
        self.known_until.store(then, Ordering::Relaxed);
    }

    /// Whether it has to be looked up who its client is.
    pub(crate) fn is_due(&self, now: u32) -> bool {
        now >= self.known_until.load(Ordering::Relaxed)
    }

    /// This node may have missed what was decided about the client.
    pub(crate) fn doubt(&self) {
        if self.guarded {
            self.close(&Close::new(1012, "this node has heard nothing for a while: connect again"));
        } else if self.identity.standing() != Standing::Stranger {
            self.known_until(0);
        }
    }

    /// What its consumer is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whoever writes what is sent.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Sends whole frames.
    pub(crate) fn send(&self, frames: &Bytes) {
        self.outbox.send(frames);
    }

    /// Closes the socket; its task does the rest.
    pub(crate) fn close(&self, close: &Close) {
        self.outbox.close(close);
    }

    /// The peer gave a sign of life.
    pub(crate) fn heard(&self, now: u32) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Once a second: asks the peer for a sign of life every [`PING_EVERY`] seconds, and closes the
    /// socket when there was none for [`SILENCE`]. Nobody was silent while the node was frozen.
    pub(crate) fn pulse(&self, now: u32, frozen: bool) {
        if frozen {
            self.heard(now);
        }
        // A feed's reader cannot answer; one that does not read is noticed by the writing.
        let answers = self.kind.wire == FrameWire::Socket;
        if answers && now.saturating_sub(self.heard.load(Ordering::Relaxed)) >= SILENCE {
            self.close(&Close::new(4408, "silent for too long"));
        } else if now >= self.ping_at.load(Ordering::Relaxed) {
            self.ping_at.store(now + PING_EVERY, Ordering::Relaxed);
            self.send(&self.kind.wire.ping());
        }
    }
}

/// Reads and acts until the socket ends, then closes it properly.
pub(crate) async fn run<C: Consumer>(socket: &Socket, place: &Place, stream: Stream, early: Box<[u8]>) {
    let session = place.session();
    let node = session.node();
    socket.outbox.attach(stream.clone());
    let mut reader = Reader::new(node, socket, &stream, &early, C::limit(node.config()));
    // Boxed, and gone once it is done: most of a socket's life is after it.
    let mut resume = Resume::of(session, socket.kind)
        .map(|resume| Box::pin(catch_up::<C>(resume, socket, place, &stream)));
    let end = {
        let mut read = pin!(read::<C>(session, socket, &mut reader));
        let mut drain = pin!(socket.outbox.drain(&stream));
        loop {
            tokio::select! {
                biased; // what is to go along with more has until the next turn
                () = &mut drain => break End::Closing,
                end = &mut read => break end,
                () = async { resume.as_mut().expect("checked").await }, if resume.is_some() => resume = None,
            }
        }
    };
    C::disconnect(session).await;
    let goodbye = Box::pin(async {
        socket.outbox.finish(&stream).await;
        match end {
            End::Closed | End::Gone => {}
            End::Refused => {
                stream.half_close();
                stream.discard().await;
            }
            End::Closing => reader.finish().await,
        }
    });
    if !matches!(end, End::Gone) && Box::pin(tokio::time::timeout(CLOSING, goodbye)).await.is_err() {
        stream.cut();
    }
    let code = socket.outbox.closed().unwrap_or(Close::ABNORMAL);
    METRICS.closed(code, matches!(end, End::Closed));
    trace!(code, "socket closed");
}

/// Gives the socket what it missed, at the pace at which it reads.
async fn catch_up<C: Consumer>(mut resume: Resume, socket: &Socket, place: &Place, stream: &Stream) {
    loop {
        match resume.next::<C>(place).await {
            Ok(Some(frames)) => {
                socket.send(&frames);
                socket.outbox.finish(stream).await;
            }
            Ok(None) => return,
            Err(error) => {
                debug!(error = %Chain(&error), "could not read what a socket missed");
                return socket.close(&Close::new(1013, "the log cannot be read: try again later"));
            }
        }
    }
}

/// Takes the client's messages, one after another.
async fn read<C: Consumer>(session: &Session, socket: &Socket, reader: &mut Reader<'_>) -> End {
    loop {
        let frame = match reader.next().await {
            Ok(Received::Text(text)) => Frame::Text(Cow::Owned(text)),
            Ok(Received::Binary(bytes)) => Frame::Binary(Cow::Owned(bytes)),
            Ok(Received::Close(code)) => {
                // RFC 6455, section 5.5.1: the answer echoes the code.
                socket.close(&Close::new(code.unwrap_or(Close::NO_STATUS), ""));
                return End::Closed;
            }
            Ok(_) => continue,
            Err(Stop::Refused(close)) => {
                debug!(code = close.code, reason = %close.reason, "refused what a client sent");
                socket.close(&close);
                return End::Refused;
            }
            Err(Stop::Gone) => return End::Gone,
        };
        let verdict = reader.weigh();
        if verdict != Verdict::Fine {
            let answer = if verdict == Verdict::TooFast { C::too_fast(&frame) } else { None };
            if let Some(answer) = answer {
                socket.outbox.send_along(answer.encode());
                continue;
            }
            socket.close(&Close::too_fast());
            return End::Refused;
        }
        // Boxed: what a message needs, an idle socket does not.
        let action = Box::pin(C::receive(session, frame)).await;
        match action {
            Action::Nothing => {}
            // What was said comes back to its speaker in this turn, too: one write for both.
            Action::Send(frame) => socket.outbox.send_along(frame.encode()),
            Action::Close(close) => {
                debug!(code = close.code, reason = %close.reason, "refused what a client sent");
                socket.close(&close);
                return End::Closing;
            }
        }
    }
}
