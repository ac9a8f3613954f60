//! Push streams: starting and stopping them over HTTP, and their lines.

mod lifecycle;
mod origin;
pub mod streams;
