//! WebSocket and SSE connections: handshake, framing, protocols, keepalive, shutdown.

mod compression;
mod conformance;
mod drain;
mod errors;
mod event_source;
mod framing;
mod handshake;
mod invalid_input;
mod keepalive;
mod lifecycle;
mod several_rooms;
mod slow_readers;
mod sse;
mod steady_readers;
mod turns;
mod ws_protocol;
