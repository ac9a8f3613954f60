//! Fuzzes where forms and links say that one goes on.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/next.rs"]
mod fuzzing;
#[path = "../../handlers/next.rs"]
mod next;
#[path = "../../handlers/urls.rs"]
mod urls;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::next(bytes));
