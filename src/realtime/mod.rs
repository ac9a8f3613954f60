//! Sockets and their subscriptions: from the handshake to the last frame.

pub(crate) mod backlog;
pub(crate) mod catch_up;
pub(crate) mod consumer;
pub(crate) mod disconnects;
pub(crate) mod drain;
pub(crate) mod fanout;
pub(crate) mod handshake;
pub(crate) mod hub;
pub(crate) mod intervals;
pub(crate) mod keepalive;
pub(crate) mod listener;
pub(crate) mod outbox;
pub(crate) mod reader;
pub(crate) mod registration;
pub(crate) mod revalidation;
pub(crate) mod runtime;
pub(crate) mod socket;
pub(crate) mod socket_task;
pub(crate) mod sse;
pub(crate) mod subscribers;
pub(crate) mod subscription;
pub(crate) mod vtable;
pub(crate) mod welcome;
