//! Black-box tests: the real binary, a real Redis on a private port, real sockets.
//!
//! Each test starts the nodes and the Redis that it needs and ends them. Tests know the contract (routes, frames,
//! close codes, Redis keys), never the code. Every wait has a deadline and says what it waited for; when a test
//! fails, each of its nodes prints the last lines of its log.
#![expect(unreachable_pub, reason = "what `pub` means within one test binary is plain")]

mod harness {
    //! What the tests stand on, one noun per file.
    pub mod client;
    pub mod event;
    pub mod frame;
    pub mod http;
    pub mod lines;
    pub mod metrics;
    pub mod node;
    pub mod process;
    pub mod redis;
    pub mod scene;
    pub mod wait;
    pub mod wire;
}

mod parlor {
    //! The specification, one noun per file.
    mod bad_events;
    mod bad_input;
    mod callers;
    mod chat;
    mod config;
    mod handshake;
    mod http;
    mod layer;
    mod lifecycle;
    mod limits;
    mod members;
    mod names;
    mod origin;
    mod outage;
    mod pages;
    mod protocol;
    mod push;
    mod redis_wire;
    mod slowness;
    mod stream;
}
