//! Clients of Centrifugo's protocols.

mod api;
mod api_costs;
mod bad_input;
mod channels;
mod connections;
mod cors;
mod emulation;
mod encodings;
mod infos;
mod libraries;
mod recovery;
mod removal;
mod tokens;
mod tokio_centrifuge;
mod unidirectional;
