//! Fuzzes events from Redis: MessagePack.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::event(bytes));
