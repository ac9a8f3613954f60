//! Settings, commands, deployment files, and the process itself.

mod cli;
mod cluster;
mod cluster_script;
mod config;
mod docs;
mod network;
mod proxy;
mod secrets;
mod walkthrough;
mod watchdog;
