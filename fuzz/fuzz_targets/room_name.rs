//! Fuzzes names of rooms.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/room_name.rs"]
mod fuzzing;

#[path = "../../handlers/room_name.rs"]
mod room_name;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::room_name(bytes));
