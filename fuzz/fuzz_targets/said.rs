//! Fuzzes what clients say: JSON on either wire.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/said.rs"]
mod fuzzing;
#[path = "../../handlers/object.rs"]
mod object;
#[path = "../../handlers/said.rs"]
mod said;
#[path = "../../handlers/trouble.rs"]
mod trouble;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::said(bytes));
