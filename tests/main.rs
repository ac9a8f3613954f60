//! Black-box tests: the real binary, a real Redis on a private port, real sockets.
//!
//! Each test starts the nodes and the Redis that it needs and ends them. Tests know the contract (routes, frames,
//! close codes, Redis keys), never the code. Every wait has a deadline and says what it waited for; when a test
//! fails, each of its nodes prints the last lines of its log.
#![expect(unreachable_pub, reason = "what `pub` means within one test binary is plain")]

mod accounts;
mod admin;
mod api;
mod chaos;
mod chat;
mod dm;
mod layer;
mod operations;
mod push;
mod realtime;
mod redis;
mod rooms;
mod security;
mod support;
mod ui;
mod web;
