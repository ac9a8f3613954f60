//! Fuzzes WebSocket frames of clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::frame_decoder(bytes));
