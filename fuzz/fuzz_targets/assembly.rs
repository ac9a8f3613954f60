//! Fuzzes what clients send on their sockets: frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::assembly(bytes));
