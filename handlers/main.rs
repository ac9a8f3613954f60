//! Parlor: chat and server push in rooms. The route table, and main.

mod access;
mod accounts;
mod admin;
mod api;
mod assets;
mod chat;
mod frames;
#[cfg(test)]
mod fuzzing;
mod health;
mod home;
mod inbox;
mod invitation;
mod invite;
mod listed;
mod members;
mod messages;
mod metrics;
mod name;
mod next;
mod object;
mod plain;
mod private;
mod push;
mod room;
mod said;
mod statics;
mod talk;
mod talks;
mod tickets;
mod trouble;
mod urls;

use std::process::ExitCode;

use parlor::{Application, Route};

use crate::admin::tail::{PushTail, Tail};
use crate::chat::Chat;
use crate::inbox::Inbox;
use crate::plain::PlainChat;
use crate::push::{PlainPush, Push};

// The tests have one that counts.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is served where: one line for each route, one file for each line.
fn routes(path: &[&str]) -> Option<Route> {
    Some(match path {
        [""] => Route::get(home::root),
        ["chat"] => Route::get(home::slash),
        ["chat", ""] => Route::get(home::page),
        ["chat", room] => Route::get(room::slash).at(room),
        ["chat", room, ""] => Route::get(room::page).at(room),
        ["chat", room, "members", ""] => Route::get(members::page).post(members::change).at(room),
        ["chat", room, "messages"] => Route::only_post(messages::post).at(room),
        ["ws", "chat", room] | ["ws", "chat", room, ""] => {
            Route::socket::<PlainChat>().or_socket::<Chat>().at(room)
        }
        ["sse", "chat", room] | ["sse", "chat", room, ""] => Route::feed::<Chat>().at(room),
        ["ws", "push", room] | ["ws", "push", room, ""] => {
            Route::socket::<PlainPush>().or_socket::<Push>().at(room)
        }
        ["rooms", ""] => Route::only_post(private::make),
        ["invite", link, ""] => Route::get(invite::page).post(invite::accept).at(link),
        ["dm"] => Route::get(talks::slash),
        ["dm", ""] => Route::get(talks::list),
        ["dm", user] => Route::get(talks::talk_slash).at(user),
        ["dm", user, ""] => Route::get(talks::talk).at(user),
        ["ws", "inbox"] | ["ws", "inbox", ""] => Route::socket::<Inbox>(),
        ["accounts", "login", ""] => Route::get(accounts::login_page).post(accounts::login),
        ["accounts", "signup", ""] => Route::get(accounts::signup_page).post(accounts::signup),
        ["accounts", "logout", ""] => Route::only_post(accounts::logout),
        ["accounts", "guest", ""] => Route::get(accounts::nickname_page).post(accounts::nickname),
        ["api", "tickets"] => Route::only_post(tickets::make),
        ["push"] => Route::get(push::start).post(push::start).delete(push::stop),
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
        ["admin", "figures"] => Route::get(admin::figures::json).for_staff(),
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
        ["static", _, ..] => Route::get(statics::file).open_to_all(),
        ["healthz"] => Route::get(health::live).open_to_all(),
        ["readyz"] => Route::get(health::ready).open_to_all(),
        ["metrics"] => Route::get(metrics::text).open_to_all(),
        _ => return None,
    })
}

fn main() -> ExitCode {
    let about = "A real-time room server: chat and server push over WebSocket.";
    parlor::run(Application {
        about,
        routes,
        assets: assets::file,
        languages: &["zh", "en"],
        programs: &["/api/"],
        scopes: &api::SCOPES,
        url: urls::url,
    })
}
