//! The application of the tests: an echo at `/`, the events of a group at `/watch/<group>`, and a
//! route that stalls the event loop.

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use parlor::{
    Access, Action, AppSettings, Application, Channel, ChannelName, Config, Context, Denied, Event, Frame,
    Grant, Group, Identity, LayerError, Message, NumberedRequest, Protocol, Refusal, Reply, ReplyTo, Request,
    Response, Route, StatusCode, View, Welcome, handler,
};

/// Admits every client to the group in the path.
struct Open;

impl Access for Open {
    async fn grant(_: &Context, _: &Identity, name: &str) -> Result<Grant, Denied> {
        Ok(Grant::new(Group::new(name), name))
    }
}

/// Shows the events of a group, and its redactions.
struct Watch;

impl Channel for Watch {
    const TAKES_COMMANDS: bool = false;

    fn view(event: &Event) -> Option<View<'_>> {
        event.text("text").map(|text| View::message(event, text)).or_else(|| View::from_layer(event))
    }
}

/// Writes each event as a line of JSON.
struct Lines;

impl Protocol for Lines {
    const RESUMES: bool = true;

    fn decode<'a>(_: &'a Frame<'_>, _: &Config) -> Result<NumberedRequest<'a>, Action> {
        Err(Action::Nothing)
    }

    fn reply(_: &ReplyTo<'_>, _: Result<&Reply, &LayerError>) -> Action {
        Action::Nothing
    }

    fn view(view: &View<'_>, _: ChannelName<'_>) -> Option<Frame<'static>> {
        let line = match view {
            View::Message(Message { is_redacted: true, position: Some(position), .. }) => {
                format!("nothing at {}", position.id)
            }
            View::Message(message) => message.text.to_owned(),
            View::Redacted { id } => format!("redacted {id}"),
            _ => return None,
        };
        Some(message(&line))
    }

    fn welcome(_: ChannelName<'_>, _: &Identity, welcome: &Welcome) -> Option<Frame<'static>> {
        Some(message(&format!("welcome {}", welcome.last)))
    }
}

/// Sends each frame back to its sender.
struct Repeat;

impl Protocol for Repeat {
    fn decode<'a>(_: &'a Frame<'_>, _: &Config) -> Result<NumberedRequest<'a>, Action> {
        Err(Action::Nothing)
    }

    fn unsupported(frame: &Frame<'_>) -> Action {
        Action::Send(match frame {
            Frame::Text(text) => Frame::Text(Cow::Owned(text.clone().into_owned())),
            Frame::Binary(bytes) => Frame::Binary(Cow::Owned(bytes.clone().into_owned())),
        })
    }

    fn reply(_: &ReplyTo<'_>, _: Result<&Reply, &LayerError>) -> Action {
        Action::Nothing
    }

    fn view(_: &View<'_>, _: ChannelName<'_>) -> Option<Frame<'static>> {
        None
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
    Route::new("echo", "/").socket::<Open, Watch, Repeat>(),
    Route::new("watch", "/watch/{group}").socket::<Open, Watch, Lines>(),
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
        renamed_records: &[],
    })
}
