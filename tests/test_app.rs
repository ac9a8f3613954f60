//! The application of the tests: an echo at `/`, the events of a group at `/watch/<group>`, and a
//! route that stalls the event loop.

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use parlor::{
    Action, AppSettings, Application, Consumer, Event, Frame, Group, REDACTED, Refusal, Request, Response,
    Route, StartPosition, StatusCode, Subscription, Welcome, handler,
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

/// Sends the events of a group, and its redactions.
struct Watch;

impl Consumer for Watch {
    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let group = Group::new(request.param("group").unwrap_or_default());
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

static ROUTES: &[Route] = &[
    Route::new("echo", "/").socket::<Echo>(),
    Route::new("watch", "/watch/{group}").socket::<Watch>(),
    Route::new("stall", "/stall").get(handler!(stall)),
];

fn main() -> ExitCode {
    parlor::run(Application {
        name: "parlor",
        about: "An application for tests",
        settings: AppSettings::none(),
        routes: ROUTES,
        assets: |_| None,
        languages: &["en"],
        api_prefixes: &[],
        scopes: &[],
    })
}
