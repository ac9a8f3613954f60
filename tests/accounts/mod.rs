//! Accounts: forms, tokens, names, and the end of a session.

mod eviction;
mod forms;
mod lookalikes;
mod outside_users;
mod tokens;
