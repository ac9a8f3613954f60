//! Parlor: chat and server push in rooms.

mod accounts;
mod centrifugo;
mod chat;
mod dm;
mod protocols;
mod push;
mod rooms;
mod web;

mod admin;
mod api;
#[cfg(test)]
mod fuzzing;
mod namespace;
mod room_name;
mod routes;
mod scopes;
mod settings;
mod streams;

use std::process::ExitCode;

use parlor::{AppSettings, Application};

use crate::rooms::record::RoomRecord;
use crate::settings::Settings;

// The tests use one that counts allocations.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let about = "A real-time room server: chat and server push over WebSocket.";
    parlor::run(Application {
        name: "parlor",
        about,
        settings: AppSettings::new::<Settings>(),
        routes: routes::ROUTES,
        assets: web::assets::file,
        languages: &["zh", "en"],
        api_prefixes: &["/api/"],
        scopes: &scopes::SCOPES,
        renamed_records: &RoomRecord::RENAMED,
    })
}
