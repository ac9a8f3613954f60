//! Fuzzes the allow list of origins, and `Origin`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::origin(bytes));
