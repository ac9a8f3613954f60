//! Fuzzes names of rooms.
#![no_main]
#![expect(dead_code, reason = "whole files of the application are read in, of which this needs a part")]

#[path = "../../handlers/fuzzing/room_name.rs"]
mod fuzzing;

#[path = "."]
mod rooms {
    //! A part of `handlers/rooms/`.
    #[path = "../../handlers/rooms/name.rs"]
    pub(crate) mod name;
}

#[path = "../../handlers/settings.rs"]
mod settings;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::room_name(bytes));
