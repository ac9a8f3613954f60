//! Fuzzes ids of messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::id(bytes));
