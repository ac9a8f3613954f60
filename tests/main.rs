//! Black-box tests: the real binary, a real Redis on a private port, real sockets.
//!
//! Each test starts the nodes and the Redis that it needs and stops them. Tests know the contract
//! (routes, frames, close codes, Redis keys) and not the code; `layer` alone uses the library.
//! Every wait has a deadline and names what it waits for. When a test fails, each of its nodes
//! prints the last lines of its log.
#![expect(unreachable_pub, reason = "what `pub` means within one test binary is plain")]

mod accounts;
mod admin;
mod api;
mod centrifugo;
mod chaos;
mod chat;
mod clients;
mod dm;
mod layer;
mod operations;
mod push;
mod realtime;
mod redis;
mod rolling;
mod rooms;
mod security;
mod support;
mod ui;
mod web;
