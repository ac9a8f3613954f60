//! Attacks, each with what it must not reach.

mod abuse;
mod access_matrix;
mod api_access_matrix;
mod bad_commands;
mod cookie_tossing;
mod cross_site_sockets;
mod crowding;
mod csrf;
mod foreign_pages;
pub mod forged_tokens;
mod guessing;
mod held_back_bodies;
mod hostile_input;
mod impersonation;
mod injection;
mod log_injection;
mod markup;
mod origin;
mod oversize;
mod session_fixation;
mod slow_clients;
mod smuggling;
mod ticket_replay;
mod traversal;
