//! Clients of Centrifugo's protocols.

mod api;
mod bad_input;
mod channels;
mod emulation;
mod libraries;
mod recovery;
mod tokens;
