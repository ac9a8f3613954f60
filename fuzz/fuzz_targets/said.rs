//! Fuzzes what clients send: JSON of either protocol.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/said.rs"]
mod fuzzing;

#[path = "."]
mod chat {
    //! A part of `handlers/chat/`.
    #[path = "../../handlers/chat/client_frame.rs"]
    pub(crate) mod client_frame;
    #[path = "../../handlers/chat/frame_error.rs"]
    pub(crate) mod frame_error;
    #[path = "../../handlers/chat/raw_object.rs"]
    pub(crate) mod raw_object;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::said(bytes));
