//! The smallest application on Parlor's runtime: rooms that repeat each message to all members.
//!
//! `docs/handlers.md` explains it block by block.

use std::borrow::Cow;
use std::process::ExitCode;

use parlor::{
    Access, Action, AppSettings, Application, Channel, ChannelName, Client, CloseCode, Command, Config,
    Context, Denied, Event, Frame, Grant, Group, Identity, LayerError, NumberedRequest, Protocol, Reason,
    Refusal, Reply, ReplyTo, Request, Response, Route, StatusCode, View, handler,
};

/// The type of the rooms' events.
const MESSAGE_TYPE: &str = "echo_message";

/// Admits every client to the room in the path.
struct RoomAccess;

impl Access for RoomAccess {
    async fn grant(_: &Context, _: &Identity, name: &str) -> Result<Grant, Denied> {
        if name.is_empty() {
            return Err(Denied::BadName(Reason::new("`room`: expected UTF-8")));
        }
        Ok(Grant::new(Group::new(&format!("echo_{name}")), name))
    }
}

/// Repeats each message to all members of the room.
struct Echo;

impl Channel for Echo {
    async fn command(client: Client<'_>, command: &Command<'_>) -> Result<Reply, LayerError> {
        let Command::Publish { text, id, .. } = command else { return Ok(Reply::Unsupported) };
        let event = Event::new(MESSAGE_TYPE).with("text", text);
        client.append(&event, id.as_deref()).await.map(Reply::Published)
    }

    fn view(event: &Event) -> Option<View<'_>> {
        let text = event.text("text").filter(|_| event.kind() == MESSAGE_TYPE)?;
        Some(View::message(event, text))
    }
}

/// Frames of text, and nothing else.
struct PlainText;

impl Protocol for PlainText {
    fn decode<'a>(frame: &'a Frame<'_>, _: &Config) -> Result<NumberedRequest<'a>, Action> {
        match frame {
            Frame::Text(text) => Ok(Command::publish(&**text).into()),
            Frame::Binary(_) => Err(Action::Close(CloseCode::UnsupportedData.into())),
        }
    }

    fn reply(_: &ReplyTo<'_>, reply: Result<&Reply, &LayerError>) -> Action {
        match reply {
            Ok(_) => Action::Nothing,
            Err(_) => Action::Close(CloseCode::TryAgainLater.into()),
        }
    }

    fn view(view: &View<'_>, _: ChannelName<'_>) -> Option<Frame<'static>> {
        match view {
            View::Message(message) => Some(Frame::Text(Cow::Owned(message.text.to_owned()))),
            _ => None,
        }
    }
}

/// Answers `GET /`.
async fn index(_: Request) -> Result<Response, Refusal> {
    Ok(Response::text(StatusCode::OK, "Open a WebSocket at /ws/ROOM and send a text.\n"))
}

static ROUTES: &[Route] = &[
    Route::new("index", "/").get(handler!(index)),
    Route::new("room", "/ws/{room}").socket::<RoomAccess, Echo, PlainText>(),
];

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
        renamed_records: &[],
    })
}
