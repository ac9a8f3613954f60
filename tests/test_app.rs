//! The application of the tests: an echo at `/`, the events of a group at `/watch/<group>`, and a route that stalls
//! the event loop.

use std::borrow::Cow;
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use parlor::http::{Refusal, Response, StatusCode};
use parlor::wire::event::REDACTED;
use parlor::{
    Action, Application, Consumer, Event, Frame, Group, Request, Route, StartPosition, Subscription, Welcome,
};

struct Echo;

impl Consumer for Echo {
    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        Ok(Subscription::alone(request))
    }

    async fn receive(_: &Subscription, frame: Frame<'_>) -> Action {
        Action::Send(match frame {
            Frame::Text(text) => Frame::Text(Cow::Owned(text.into_owned())),
            Frame::Binary(bytes) => Frame::Binary(Cow::Owned(bytes.into_owned())),
        })
    }

    fn event(_: &Event) -> Option<Frame<'static>> {
        None
    }
}

/// Tells what is said in a group, and what is redacted there.
struct Watch;

impl Consumer for Watch {
    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let group = Group::new(request.path_after("/watch/"));
        Ok(Subscription::in_group(request, group).resuming(StartPosition::of(request)?))
    }

    async fn receive(_: &Subscription, _: Frame<'_>) -> Action {
        Action::Nothing
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        let line = match (event.kind(), event.stamp()) {
            (REDACTED, Some(place)) => format!("nothing at {}", place.id),
            (REDACTED, None) => format!("redacted {}", event.text("id")?),
            _ => event.text("text")?.to_owned(),
        };
        Some(message(&line))
    }

    fn welcome(_: &Subscription, welcome: &Welcome) -> Option<Frame<'static>> {
        Some(message(&format!("welcome {}", welcome.last)))
    }
}

/// A frame like the application's own.
fn message(line: &str) -> Frame<'static> {
    Frame::Text(Cow::Owned(serde_json::json!({ "message": line }).to_string()))
}

/// Blocks its worker, as no handler may.
async fn stall(_: Request) -> Result<Response, Refusal> {
    std::thread::sleep(Duration::from_mins(1));
    Ok(Response::text(StatusCode::OK, "too late"))
}

fn routes(path: &[&str]) -> Option<Route> {
    match path {
        [""] => Some(Route::socket::<Echo>()),
        ["watch", _] => Some(Route::socket::<Watch>()),
        ["stall"] => Some(Route::get(stall)),
        _ => None,
    }
}

fn no_url(_: &str, _: &HashMap<String, String>) -> Option<String> {
    None
}

fn main() -> ExitCode {
    parlor::run(Application {
        about: "An application for tests",
        routes,
        assets: |_| None,
        languages: &["en"],
        programs: &[],
        scopes: &[],
        url: no_url,
    })
}
