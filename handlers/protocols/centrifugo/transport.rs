//! The transports of Centrifugo's clients.

use parlor::Transport;

/// A transport of connections.
pub(crate) trait ClientTransport: Send + Sync + 'static {
    const TRANSPORT: Transport;
}

/// A WebSocket.
pub(crate) struct Socket;

/// Server-Sent Events, with the client's commands in further requests.
pub(crate) struct EventStream;

/// The body of a response, with the client's commands in further requests.
pub(crate) struct HttpStream;

impl ClientTransport for Socket {
    const TRANSPORT: Transport = Transport::WebSocket;
}

impl ClientTransport for EventStream {
    const TRANSPORT: Transport = Transport::Sse;
}

impl ClientTransport for HttpStream {
    const TRANSPORT: Transport = Transport::Body;
}
