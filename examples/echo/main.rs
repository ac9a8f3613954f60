//! The smallest application on Parlor's runtime: rooms that repeat each message to all members.
//!
//! `docs/handlers.md` explains it block by block.

use std::borrow::Cow;
use std::process::ExitCode;

use parlor::{
    Action, AppSettings, Application, CloseCode, Consumer, Event, Frame, Group, Refusal, Request, Response,
    Route, StatusCode, Subscription, handler,
};

/// The sockets of the rooms.
struct Echo;

impl Consumer for Echo {
    /// Subscribes the socket to the group of the room in its path.
    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let room = request.param("room").ok_or_else(|| Refusal::bad_request("`room`: expected UTF-8"))?;
        Ok(Subscription::in_group(request, Group::new(&format!("echo_{room}"))))
    }

    /// Publishes the client's text to the group.
    async fn receive(subscription: &Subscription, frame: Frame<'_>) -> Action {
        let Frame::Text(text) = frame else {
            return Action::Close(CloseCode::UnsupportedData.into());
        };
        match subscription.append(&Event::new("echo_message").with("text", &text), None).await {
            Ok(_) => Action::Nothing,
            Err(_) => Action::Close(CloseCode::TryAgainLater.into()),
        }
    }

    /// Renders an event of the group, once for all sockets of this node.
    fn event(event: &Event) -> Option<Frame<'static>> {
        let text = event.text("text").filter(|_| event.kind() == "echo_message")?;
        Some(Frame::Text(Cow::Owned(text.to_owned())))
    }
}

/// Answers `GET /`.
async fn index(_: Request) -> Result<Response, Refusal> {
    Ok(Response::text(StatusCode::OK, "Open a WebSocket at /ws/ROOM and send a text.\n"))
}

static ROUTES: &[Route] =
    &[Route::new("index", "/").get(handler!(index)), Route::new("room", "/ws/{room}").socket::<Echo>()];

fn main() -> ExitCode {
    parlor::run(Application {
        name: "echo",
        about: "Rooms that repeat each message to all members.",
        settings: AppSettings::none(),
        routes: ROUTES,
        assets: |_| None,
        languages: &["en"],
        api_prefixes: &[],
        scopes: &[],
    })
}
