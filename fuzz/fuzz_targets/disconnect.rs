//! Fuzzes disconnect commands from Redis: JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::disconnect(bytes));
