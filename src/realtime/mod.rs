//! Sockets and their subscriptions: from the handshake to the last frame.
//!
//! An application brings three traits for a socket: `access` decides who may enter, `channel` what
//! happens there, `protocol` how it looks on the wire.

pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod backlog;
pub(crate) mod catch_up;
pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod denied;
pub(crate) mod disconnects;
pub(crate) mod drain;
pub(crate) mod fanout;
pub(crate) mod hub;
pub(crate) mod intervals;
pub(crate) mod keepalive;
pub(crate) mod listener;
pub(crate) mod outbox;
pub(crate) mod protocol;
pub(crate) mod reader;
pub(crate) mod registration;
pub(crate) mod renderer;
pub(crate) mod revalidation;
pub(crate) mod runtime;
pub(crate) mod socket;
pub(crate) mod socket_task;
pub(crate) mod sse;
pub(crate) mod start_position;
pub(crate) mod subscribers;
pub(crate) mod subscription;
pub(crate) mod view;
pub(crate) mod welcome;
