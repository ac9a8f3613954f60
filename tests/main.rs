//! Black-box tests: the real binary, a real Redis on a private port, real sockets.
//!
//! Each test starts the nodes and the Redis that it needs and ends them. Tests know the contract (routes, frames,
//! close codes, Redis keys), never the code. Every wait has a deadline and says what it waited for; when a test
//! fails, each of its nodes prints the last lines of its log.
#![expect(unreachable_pub, reason = "what `pub` means within one test binary is plain")]

mod chaos;

mod harness {
    //! What the tests stand on, one noun per file.
    pub mod assets;
    pub mod backend;
    pub mod browser;
    pub mod cast;
    pub mod client;
    pub mod crowd;
    pub mod echo;
    pub mod event;
    pub mod family;
    pub mod frame;
    pub mod http;
    pub mod keys;
    pub mod letters;
    pub mod lines;
    pub mod member;
    pub mod metrics;
    pub mod nginx;
    pub mod node;
    pub mod openapi;
    pub mod operation;
    pub mod page;
    pub mod peers;
    pub mod person;
    pub mod port;
    pub mod process;
    pub mod redis;
    pub mod regular;
    pub mod routes;
    pub mod scene;
    pub mod sentinel;
    pub mod site;
    pub mod sse;
    pub mod staff;
    pub mod ticket;
    pub mod tunnel;
    pub mod vault;
    pub mod wait;
    pub mod watch;
    pub mod wire;
    pub mod world;
}

mod parlor {
    //! The specification, one noun per file.
    mod abuse;
    mod accounts;
    mod ack;
    mod api;
    mod api_events;
    mod api_messages;
    mod api_rooms;
    mod bad_events;
    mod bad_input;
    mod bearers;
    mod browser;
    mod callers;
    mod chat;
    mod cluster;
    mod commands;
    mod compression;
    mod config;
    mod conformance;
    mod covered;
    mod csrf;
    mod document;
    mod doors;
    mod drain;
    mod eavesdropping;
    mod events;
    mod eviction;
    mod failover;
    mod fixation;
    mod forged_tokens;
    mod forgery;
    mod guessing;
    mod handshake;
    mod hijacking;
    mod history;
    mod http;
    mod impersonation;
    mod inbox;
    mod injection;
    mod layer;
    mod layer_cover;
    mod layer_facts;
    mod layer_log;
    mod layer_store;
    mod lengths;
    mod lifecycle;
    mod limits;
    mod lookalikes;
    mod markup;
    mod matrix;
    mod matrix_api;
    mod members;
    mod moderation;
    mod names;
    mod openapi;
    mod operator_browser;
    mod operators;
    mod orders;
    mod origin;
    mod outage;
    mod oversize;
    mod pages;
    mod people;
    mod presence;
    mod private_rooms;
    mod protocol;
    mod proxy;
    mod push;
    mod rates;
    mod redirects;
    mod redis_wire;
    mod refusals;
    mod repairs;
    mod replay;
    mod resume;
    mod roles;
    mod rush;
    mod screens;
    mod script;
    mod secrets;
    mod slowness;
    mod smuggling;
    mod stalled;
    mod stream;
    mod talks;
    mod traversal;
    mod trickle;
    mod tutorial;
    mod unavailable;
    mod watchdog;
    mod welcome;
    mod wires;
}
