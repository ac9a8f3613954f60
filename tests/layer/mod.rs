//! The conformance suite of the layer: the only tests that use the library directly.

mod contract;
mod log;
mod nodes;
mod redaction;
mod removal;
mod store;
