//! The sockets of a node, and the services that they share.

use std::sync::Arc;

use crate::auth::identity::Identity;
use crate::http::context::Context;
use crate::realtime::backlog::Limits;
use crate::realtime::hub::Hub;
use crate::realtime::intervals::Intervals;
use crate::realtime::renderer::Wire;
use crate::realtime::socket::Socket;

/// The sockets of a node.
pub(crate) struct Realtime {
    pub(crate) context: Arc<Context>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) intervals: Intervals,
}

impl Realtime {
    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn intervals(&self) -> &Intervals {
        &self.intervals
    }

    /// Creates the socket of a client.
    pub(crate) fn socket(&self, identity: &Arc<Identity>, wire: Wire) -> Arc<Socket> {
        let (context, config) = (&self.context, self.context.config());
        let limits = Limits { bytes: config.max_outbox_bytes, messages: config.max_outbox_messages };
        let socket = Socket::new(wire, Arc::clone(identity), limits, context.seconds());
        socket.set_known_until(context.seconds_after(identity.valid_for()));
        Arc::new(socket)
    }

    /// Makes the node reject sockets from now on.
    pub(crate) fn end(&self) {
        self.context.end();
        self.hub.stop();
    }
}
