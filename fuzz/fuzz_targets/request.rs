//! Fuzzes request lines and headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::request(bytes));
