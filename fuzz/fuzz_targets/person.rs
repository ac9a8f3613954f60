//! Fuzzes what people want to be called.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::person(bytes));
