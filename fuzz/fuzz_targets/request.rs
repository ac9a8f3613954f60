//! Fuzzes requests: the line and the headers of one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::request(bytes));
