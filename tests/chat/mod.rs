//! Chat: delivery, history, resuming, and how fast one client may send.

mod acknowledgements;
mod budgets;
mod data;
mod delivery;
mod flood;
mod history;
mod message_rate;
mod resume;
mod small_logs;
mod welcome;
mod wires;
