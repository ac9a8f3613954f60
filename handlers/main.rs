//! Parlor: chat and server push in rooms. The route table, and main.

mod accounts;
mod chat;
mod dm;
mod push;
mod rooms;
mod web;

mod admin;
mod api;
#[cfg(test)]
mod fuzzing;

use std::process::ExitCode;

use parlor::{Application, Route};

use crate::admin::operator_view::{PushTail, Tail};
use crate::chat::tutorial::PlainChat;
use crate::chat::v1::Chat;
use crate::dm::inbox::Inbox;
use crate::push::stream::{PlainPush, Push};

// The tests have one that counts.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is served where: one line for each route, one file for each line.
fn routes(path: &[&str]) -> Option<Route> {
    Some(match path {
        [""] => Route::get(web::home::root),
        ["chat"] => Route::get(web::home::slash),
        ["chat", ""] => Route::get(web::home::page),
        ["chat", room] => Route::get(rooms::page::slash).at(room),
        ["chat", room, ""] => Route::get(rooms::page::page).at(room),
        ["chat", room, "members", ""] => {
            Route::get(rooms::members_page::page).post(rooms::members_page::change).at(room)
        }
        ["chat", room, "messages"] => Route::only_post(chat::messages::post).at(room),
        ["ws", "chat", room] | ["ws", "chat", room, ""] => {
            Route::socket::<PlainChat>().or_socket::<Chat>().at(room)
        }
        ["sse", "chat", room] | ["sse", "chat", room, ""] => Route::feed::<Chat>().at(room),
        ["ws", "push", room] | ["ws", "push", room, ""] => {
            Route::socket::<PlainPush>().or_socket::<Push>().at(room)
        }
        ["rooms", ""] => Route::only_post(rooms::membership::make),
        ["invite", link, ""] => {
            Route::get(rooms::invite_page::page).post(rooms::invite_page::accept).at(link)
        }
        ["dm"] => Route::get(dm::pages::slash),
        ["dm", ""] => Route::get(dm::pages::list),
        ["dm", user] => Route::get(dm::pages::talk_slash).at(user),
        ["dm", user, ""] => Route::get(dm::pages::talk).at(user),
        ["ws", "inbox"] | ["ws", "inbox", ""] => Route::socket::<Inbox>(),
        ["accounts", "login", ""] => {
            Route::get(accounts::sessions::login_page).post(accounts::sessions::login)
        }
        ["accounts", "signup", ""] => {
            Route::get(accounts::sessions::signup_page).post(accounts::sessions::signup)
        }
        ["accounts", "logout", ""] => Route::only_post(accounts::sessions::logout),
        ["accounts", "guest", ""] => {
            Route::get(accounts::sessions::nickname_page).post(accounts::sessions::nickname)
        }
        ["api", "tickets"] => Route::only_post(accounts::tickets::make),
        ["push"] => Route::get(push::stream::start).post(push::stream::start).delete(push::stream::stop),
        ["api", "openapi.json"] => Route::get(api::document::file).open_to_all(),
        ["api", "rooms"] => Route::get(api::rooms::list),
        ["api", "rooms", room, "messages"] => {
            Route::get(api::messages::page).post(api::messages::say).at(room)
        }
        ["api", "rooms", room, "members"] => Route::get(api::members::list).at(room),
        ["api", "broadcast"] => Route::only_post(api::broadcast::send),
        ["api", "groups", group, "events"] => Route::only_post(api::events::send).at(group),
        ["api", "users", user, "disconnect"] => Route::only_post(api::users::disconnect).at(user),
        ["api", "push", room] => Route::only_post(api::push::start).delete(api::push::stop).at(room),
        ["admin"] => Route::get(admin::nodes::slash).for_staff(),
        ["admin", ""] => Route::get(admin::nodes::page).for_staff(),
        ["admin", "figures"] => Route::get(admin::stats::json).for_staff(),
        ["admin", "rooms", ""] => Route::get(admin::rooms::page).for_staff(),
        ["admin", "rooms", room, ""] => {
            Route::get(admin::room::page).post(admin::room::act).at(room).for_staff()
        }
        ["admin", "rooms", room, "push"] => {
            Route::only_post(admin::push::start).delete(admin::push::stop).at(room).for_staff()
        }
        ["ws", "admin", room, ""] => Route::socket::<Tail>().at(room).for_staff(),
        ["ws", "admin", room, "push"] => Route::socket::<PushTail>().at(room).for_staff(),
        ["admin", "users", ""] => Route::get(admin::users::page).post(admin::users::act).for_staff(),
        ["admin", "keys", ""] => Route::get(admin::keys::page).post(admin::keys::act).for_staff(),
        ["admin", "audit", ""] => Route::get(admin::audit::page).for_staff(),
        ["static", _, ..] => Route::get(web::static_files::file).open_to_all(),
        ["healthz"] => Route::get(web::health::live).open_to_all(),
        ["readyz"] => Route::get(web::health::ready).open_to_all(),
        ["metrics"] => Route::get(web::metrics::text).open_to_all(),
        _ => return None,
    })
}

fn main() -> ExitCode {
    let about = "A real-time room server: chat and server push over WebSocket.";
    parlor::run(Application {
        about,
        routes,
        assets: web::assets::file,
        languages: &["zh", "en"],
        programs: &["/api/"],
        scopes: &api::SCOPES,
        url: web::urls::url,
    })
}
