//! Fuzzes the address of Redis: a URL.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::address(bytes));
