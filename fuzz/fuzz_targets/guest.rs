//! Fuzzes the cookies of guests.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::guest(bytes));
