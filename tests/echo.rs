//! An application for tests: an echo at `/`, and a route that stalls the event loop.

use std::borrow::Cow;
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use parlor::http::{Refusal, Response, StatusCode};
use parlor::{Action, Application, Consumer, Event, Frame, Request, Route, Session};

struct Echo;

impl Consumer for Echo {
    async fn connect(request: &Request) -> Result<Session, Refusal> {
        Ok(Session::alone(request))
    }

    async fn receive(_: &Session, frame: Frame<'_>) -> Action {
        Action::Send(match frame {
            Frame::Text(text) => Frame::Text(Cow::Owned(text.into_owned())),
            Frame::Binary(bytes) => Frame::Binary(Cow::Owned(bytes.into_owned())),
        })
    }

    fn event(_: &Event) -> Option<Frame<'static>> {
        None
    }
}

/// Blocks its worker, as no handler may.
async fn stall(_: Request) -> Result<Response, Refusal> {
    std::thread::sleep(Duration::from_mins(1));
    Ok(Response::text(StatusCode::OK, "too late"))
}

fn routes(path: &[&str]) -> Option<Route> {
    match path {
        [""] => Some(Route::socket::<Echo>()),
        ["stall"] => Some(Route::get(stall)),
        _ => None,
    }
}

fn no_url(_: &str, _: &HashMap<String, String>) -> Option<String> {
    None
}

fn main() -> ExitCode {
    parlor::run(Application {
        about: "An echo",
        routes,
        assets: |_| None,
        languages: &["en"],
        programs: &[],
        scopes: &[],
        url: no_url,
    })
}
