//! Fuzzes the bodies of forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor::fuzzing::form(bytes));
