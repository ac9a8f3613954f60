//! Clients of Centrifugo's protocols.

mod bad_input;
mod channels;
mod emulation;
mod libraries;
mod recovery;
mod tokens;
