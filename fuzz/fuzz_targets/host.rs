//! Fuzzes the hosts by which the node is called.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::host(bytes));
