//! The pages in Chromium.

mod accounts;
mod admin;
mod layout;
pub mod rooms;
mod tutorial;
