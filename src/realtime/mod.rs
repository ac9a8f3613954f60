//! Sockets and their subscriptions: from the handshake to the last frame.

// What an application brings: who may enter, what happens there, how it looks on the wire.
pub(crate) mod access;
pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod connection_list;
pub(crate) mod connection_member;
pub(crate) mod connections;
pub(crate) mod denied;
pub(crate) mod entrance;
pub(crate) mod ephemeral_rate;
pub(crate) mod protocol;
pub(crate) mod streams;
pub(crate) mod tick;
pub(crate) mod view;
pub(crate) mod welcome;

// Admission: from a request to a registered socket.
pub(crate) mod admission;
pub(crate) mod listed_connection;
pub(crate) mod registered;
pub(crate) mod registration;
pub(crate) mod start_position;
pub(crate) mod subscription;
pub(crate) mod subscriptions;

// One socket.
pub(crate) mod backlog;
pub(crate) mod catch_up;
pub(crate) mod channel_infos;
pub(crate) mod client_stream;
pub(crate) mod connecting;
pub(crate) mod instructed;
pub(crate) mod joined;
pub(crate) mod log_position;
pub(crate) mod outbox;
pub(crate) mod reader;
pub(crate) mod socket;
pub(crate) mod socket_task;
pub(crate) mod sse;
mod turn;

// The hub: delivery to the sockets of a group.
pub(crate) mod disconnects;
pub(crate) mod fanout;
pub(crate) mod feed;
pub(crate) mod hub;
pub(crate) mod instructions;
#[cfg(test)]
mod interleavings;
pub(crate) mod renderer;
mod replay;
pub(crate) mod subscribers;

// The sockets of a node, and what runs beside them.
pub(crate) mod drain;
pub(crate) mod intervals;
pub(crate) mod keepalive;
pub(crate) mod listener;
mod move_on;
pub(crate) mod revalidation;
pub(crate) mod runtime;
