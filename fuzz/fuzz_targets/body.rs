//! Fuzzes bodies of API requests: JSON.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/body.rs"]
mod fuzzing;

#[path = "."]
mod api {
    //! A part of `handlers/api/`.
    #[path = "../../handlers/api/body.rs"]
    pub(crate) mod body;
}

#[path = "."]
mod protocols {
    //! A part of `handlers/protocols/`.
    #[path = "../../handlers/protocols/data.rs"]
    pub(crate) mod data;
    #[path = "../../handlers/protocols/surrogates.rs"]
    pub(crate) mod surrogates;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::body(bytes));
