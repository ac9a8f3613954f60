//! Fuzzes origins and the allow list of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::origin(bytes));
