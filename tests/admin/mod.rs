//! The pages of operators, and what they do to users, rooms and messages.

mod accounts_and_keys;
mod moderation;
mod pages;
