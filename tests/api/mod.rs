//! The HTTP API for programs, and its OpenAPI document.

mod access;
mod events;
mod messages;
mod openapi;
mod rooms;
