//! Fuzzes redirect targets of forms and links.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/safe_redirect.rs"]
mod fuzzing;

#[path = "."]
mod web {
    //! A part of `handlers/web/`.
    #[path = "../../handlers/web/safe_redirect.rs"]
    pub(crate) mod safe_redirect;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::safe_redirect(bytes));
