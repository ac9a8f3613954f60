//! Fuzzes URLs of Redis.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::redis_address(bytes));
