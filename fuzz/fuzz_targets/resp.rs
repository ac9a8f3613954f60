//! Fuzzes replies of Redis: RESP3.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::resp(bytes));
