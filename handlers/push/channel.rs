//! The lines of a push stream. They are not logged, so there is nothing to resume.

use std::time::Duration;

use jiff::Zoned;
use parlor::{Channel, Event, Group, Interval, View};

use crate::protocols::streams::PUSH;

/// The type of a push event; its `message` is the whole line.
const LINE_TYPE: &str = "push_message";

/// The channel at `/ws/push/{room}` and, for operators, `/ws/admin/{room}/push`.
pub(crate) struct Push;

impl Channel for Push {
    const STREAM: &'static str = PUSH;
    const INTERVAL: Option<Interval> = Some(Interval { period: Duration::from_secs(2), event: line });
    const REPLAYS: bool = false;
    const TAKES_COMMANDS: bool = false;

    fn view(event: &Event) -> Option<View<'_>> {
        let line = event.text("message").filter(|_| event.kind() == LINE_TYPE)?;
        Some(View::Line(line))
    }
}

/// Creates the next line, with the node's local time.
fn line(group: &Group) -> Event {
    let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
    Event::new(LINE_TYPE).with("message", &format!("[{now}] 实时推送 - 房间: {group}"))
}
