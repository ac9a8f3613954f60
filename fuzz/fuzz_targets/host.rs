//! Fuzzes the allow list of hosts, and `Host`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::host(bytes));
