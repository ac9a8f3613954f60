//! Direct messages: conversations of two users, and the inbox.

mod conversations;
mod inbox;
mod privacy;
