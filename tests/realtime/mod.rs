//! WebSocket and SSE connections: handshake, framing, protocols, keepalive, shutdown.

mod compression;
mod conformance;
mod drain;
mod errors;
mod framing;
mod handshake;
mod invalid_input;
mod keepalive;
mod lifecycle;
mod slow_readers;
mod sse;
mod ws_protocol;
