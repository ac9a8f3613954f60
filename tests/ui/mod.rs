//! The pages in Chromium.

mod accounts;
mod admin;
mod ended;
mod event_source;
mod hostile_messages;
mod layout;
mod lines;
mod requests;
pub mod rooms;
mod tutorial;
