//! One socket, as all but its own task see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use crate::auth::identity::{Identity, Role};
use crate::realtime::backlog::Limits;
use crate::realtime::outbox::Outbox;
use crate::realtime::subscription::Subscription;
use crate::realtime::vtable::Kind;
use crate::wire::close::{Close, CloseCode};
use crate::wire::frame::Transport;

/// How often a peer is pinged, and how long it may be silent, in seconds.
const PING_EVERY: u32 = 25;
const SILENCE: u32 = 60;

/// One socket, as everybody but its own task sees it.
pub(crate) struct Socket {
    kind: Kind,
    identity: Arc<Identity>,
    restricted: bool,
    outbox: Outbox,
    /// When the peer was last heard, in seconds of [`Context::seconds`].
    heard: AtomicU32,
    /// When it is pinged next.
    ping_at: AtomicU32,
    /// When it is looked up again who its client is.
    known_until: AtomicU32,
}

impl Socket {
    /// A socket that is heard `now`, in seconds of its node.
    pub(crate) fn new(kind: Kind, identity: Arc<Identity>, limits: Limits, now: u32) -> Self {
        Self {
            kind,
            identity,
            restricted: false,
            outbox: Outbox::new(kind.wire, limits),
            heard: AtomicU32::new(now),
            ping_at: AtomicU32::new(now + PING_EVERY),
            known_until: AtomicU32::new(u32::MAX),
        }
    }

    /// The socket of this session.
    pub(crate) fn of(session: &Subscription, kind: Kind, limits: Limits) -> Self {
        let (node, identity) = (session.context(), session.identity());
        let socket = Self::new(kind, Arc::clone(identity), limits, node.seconds());
        socket.known_until(node.seconds_after(identity.lasts()));
        Self { restricted: session.is_restricted(), ..socket }
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
    pub(crate) fn mark_stale(&self) {
        if self.restricted {
            self.close(&Close::new(
                CloseCode::ServiceRestart,
                "this node has heard nothing for a while: connect again",
            ));
        } else if self.identity.role() != Role::Anonymous {
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
    pub(crate) fn keepalive(&self, now: u32, frozen: bool) {
        if frozen {
            self.heard(now);
        }
        // A feed's reader cannot answer; one that does not read is noticed by the writing.
        let answers = self.kind.wire == Transport::WebSocket;
        if answers && now.saturating_sub(self.heard.load(Ordering::Relaxed)) >= SILENCE {
            self.close(&CloseCode::Unresponsive.into());
        } else if now >= self.ping_at.load(Ordering::Relaxed) {
            self.ping_at.store(now + PING_EVERY, Ordering::Relaxed);
            self.send(&self.kind.wire.ping());
        }
    }
}
