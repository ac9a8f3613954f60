//! Fuzzes commands of Centrifugo's clients: JSON and Protobuf.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/centrifugo.rs"]
mod fuzzing;

#[path = "../../handlers/protocols/mod.rs"]
mod protocols;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::centrifugo(bytes));
