//! Fuzzes headers and cookies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::headers(bytes));
