//! Fuzzes JSON Web Tokens.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::token(bytes));
