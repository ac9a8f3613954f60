//! Fuzzes what Redis says: RESP3.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::resp(bytes));
