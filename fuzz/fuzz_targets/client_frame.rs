//! Fuzzes frames of clients: JSON of either protocol.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/client_frame.rs"]
mod fuzzing;

#[path = "../../handlers/protocols/mod.rs"]
mod protocols;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::client_frame(bytes));
