//! Settings, commands, deployment files, and the process itself.

mod cli;
mod cluster;
mod cluster_script;
mod config;
mod docs;
mod metrics;
mod network;
mod proxy;
mod secrets;
mod source_names;
mod walkthrough;
mod watchdog;
