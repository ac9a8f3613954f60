//! The frames of `parlor.v1` that the server sends, as docs/protocol.md defines them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parlor::error::Unavailable;
use parlor::{Appended, Event, Frame, Id, Welcome};
use serde::{Serialize, Serializer};

/// For how long a client shows that somebody types, in milliseconds.
const TYPING_MS: u64 = 5000;
/// Most bytes of text in one `history`, beside its newest message.
const MOST_BYTES: usize = 128 * 1024;
/// Bytes of a frame beside the texts in it, and of what stands before it on the wire; longer names make it grow.
const AROUND: usize = 224;

/// Every frame there is.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Sent<'a> {
    Welcome {
        node: &'a str,
        room: &'a str,
        user: &'a str,
        last: Option<Id>,
        recovered: bool,
        reason: Option<&'a str>,
        members: Option<&'a [String]>,
        count: usize,
    },
    Message {
        message: Line<'a>,
        text: &'a str,
        user: Option<&'a str>,
        id: Option<Id>,
        prev: Option<Id>,
        at: Option<u64>,
    },
    Push {
        message: &'a str,
    },
    Ack {
        client_id: Option<&'a str>,
        id: Id,
        duplicate: bool,
    },
    Error {
        code: &'a str,
        detail: &'a str,
        client_id: Option<&'a str>,
        retry: bool,
    },
    Presence {
        change: &'a str,
        user: Option<&'a str>,
        members: Option<Vec<&'a str>>,
        count: u64,
    },
    Typing {
        user: &'a str,
        for_ms: u64,
    },
    History {
        messages: Vec<Sent<'a>>,
        more: bool,
    },
    Gap {
        reason: &'a str,
        after: Option<&'a str>,
    },
    Bye {
        reconnect_ms: u64,
    },
}

/// A text as the tutorial shows it.
pub(crate) struct Line<'a>(pub(crate) &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[收到消息] {}", self.0)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why something was not done: an error's code, and words for people.
pub(crate) struct Trouble {
    pub(crate) code: &'static str,
    pub(crate) detail: Cow<'static, str>,
}

/// A message's place in the log.
pub(crate) struct Logged {
    id: Id,
    duplicate: bool,
}

impl Trouble {
    pub(crate) fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new("unavailable", "the server cannot reach its messages: send it again, with the same `id`")
    }
}

/// What the layer's answer means for the client.
///
/// # Errors
/// Why the message is not in the log.
pub(crate) fn answer(appended: &Result<Appended, Unavailable>) -> Result<Logged, Trouble> {
    match appended {
        Ok(Appended::New(id)) => Ok(Logged { id: *id, duplicate: false }),
        Ok(Appended::Known(id)) => Ok(Logged { id: *id, duplicate: true }),
        Ok(Appended::Conflict) => {
            Err(Trouble::new("conflict", "`id`: used for another message less than five minutes ago"))
        }
        Err(_) => Err(Trouble::unavailable()),
    }
}

pub(crate) fn welcome(room: &str, user: &str, welcome: &Welcome) -> Frame<'static> {
    let members = welcome.presence.members.as_deref();
    Sent::Welcome {
        node: &welcome.node,
        room,
        user,
        last: known(welcome.last),
        recovered: welcome.reason.is_none(),
        reason: welcome.reason,
        members,
        count: welcome.presence.count,
    }
    .frame(members.map_or(0, |members| members.iter().map(String::len).sum()))
}

pub(crate) fn message(event: &Event) -> Option<Frame<'static>> {
    Some(sent(event)?.frame(2 * length(event)))
}

fn sent(event: &Event) -> Option<Sent<'_>> {
    let text = event.text("message")?;
    let stamp = event.stamp();
    Some(Sent::Message {
        message: Line(text),
        text,
        user: event.text("user"),
        id: stamp.map(|stamp| stamp.id),
        prev: stamp.and_then(|stamp| known(stamp.prev)),
        at: stamp.map(|stamp| stamp.id.millis()),
    })
}

fn length(event: &Event) -> usize {
    event.text("message").map_or(0, str::len)
}

pub(crate) fn push(message: &str) -> Frame<'static> {
    Sent::Push { message }.frame(message.len())
}

pub(crate) fn ack(client_id: Option<&str>, logged: &Logged) -> Frame<'static> {
    Sent::Ack { client_id, id: logged.id, duplicate: logged.duplicate }.frame(0)
}

pub(crate) fn error(trouble: &Trouble, client_id: Option<&str>) -> Frame<'static> {
    let retry = matches!(trouble.code, "unavailable" | "rate");
    Sent::Error { code: trouble.code, detail: &trouble.detail, client_id, retry }.frame(0)
}

pub(crate) fn presence(event: &Event) -> Option<Frame<'static>> {
    let count = event.text("count")?.parse().ok()?;
    let listed = event.text("members");
    let members = listed.map(|names| names.split(' ').filter(|name| !name.is_empty()).collect());
    let sent = Sent::Presence { change: event.text("change")?, user: event.text("user"), members, count };
    Some(sent.frame(listed.map_or(0, |names| 2 * names.len())))
}

pub(crate) fn typing(user: &str) -> Frame<'static> {
    Sent::Typing { user, for_ms: TYPING_MS }.frame(0)
}

pub(crate) fn history(events: &[Arc<Event>], more: bool) -> Frame<'static> {
    // The newest of them, as many as one frame may hold: it has to wait in memory for a slow reader.
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        bytes += length(event);
        bytes <= MOST_BYTES
    };
    let kept = events.iter().rev().take(1).chain(events.iter().rev().skip(1).take_while(fits)).count();
    let (left, kept) = events.split_at(events.len() - kept);
    let messages: Vec<_> = kept.iter().filter_map(|event| sent(event)).collect();
    let texts = kept.iter().map(|event| AROUND + 2 * length(event)).sum();
    Sent::History { messages, more: more || !left.is_empty() }.frame(texts)
}

pub(crate) fn gap(event: &Event) -> Option<Frame<'static>> {
    let after = event.text("after").filter(|after| *after != Id::START.to_string());
    Some(Sent::Gap { reason: event.text("reason")?, after }.frame(0))
}

pub(crate) fn bye(reconnect: Duration) -> Frame<'static> {
    Sent::Bye { reconnect_ms: u64::try_from(reconnect.as_millis()).unwrap_or(u64::MAX) }.frame(0)
}

/// An id as clients see it: nothing stands before the first message.
fn known(id: Id) -> Option<Id> {
    Some(id).filter(|id| *id != Id::START)
}

impl Sent<'_> {
    /// The frame, whose texts take about so many bytes.
    fn frame(&self, texts: usize) -> Frame<'static> {
        let mut json = Vec::with_capacity(AROUND + texts);
        serde_json::to_writer(&mut json, self).expect("writing to a Vec cannot fail");
        Frame::Text(String::from_utf8(json).expect("JSON is UTF-8").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A message as it comes out of the log, with this text.
    fn logged(text: &str) -> Event {
        let said = Event::new("chat_message").with("message", text).with("user", "a1b2c3d4e5f60718");
        Event::decode(&said.with("id", "1758000000000-3").with("prev", "1758000000000-2").encode()).unwrap()
    }

    fn value(frame: Option<Frame<'static>>) -> Value {
        let Some(Frame::Text(text)) = frame else { panic!("a frame of text") };
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn members_without_a_value_are_null() {
        let at = 1_758_000_000_000_u64;
        let full = json!({
            "type": "message", "message": "[收到消息] \"a\n你", "text": "\"a\n你", "user": "a1b2c3d4e5f60718",
            "id": "1758000000000-3", "prev": "1758000000000-2", "at": at,
        });
        assert_eq!(value(message(&logged("\"a\n你"))), full);
        let bare = json!({
            "type": "message", "message": "[收到消息] a", "text": "a", "user": null, "id": null, "prev": null, "at": null,
        });
        assert_eq!(value(message(&Event::new("x").with("message", "a"))), bare);
        assert!(message(&Event::new("x")).is_none());
        let state = Event::new("x").with("change", "state").with("count", "2").with("members", " a b");
        let expected =
            json!({"type": "presence", "change": "state", "user": null, "members": ["a", "b"], "count": 2});
        assert_eq!(value(presence(&state)), expected);
        let gone = Event::new("x").with("reason", "trimmed").with("after", "0-0");
        assert_eq!(value(gap(&gone)), json!({"type": "gap", "reason": "trimmed", "after": null}));
        let trouble = Trouble::unavailable();
        let expected = json!({
            "type": "error", "code": "unavailable", "detail": trouble.detail, "client_id": null, "retry": true,
        });
        assert_eq!(value(Some(error(&trouble, None))), expected);
    }

    #[test]
    fn history_holds_messages_as_they_were_sent() {
        let events = ["a", "你"].map(|text| Arc::new(logged(text)));
        let messages: Vec<Value> = events.iter().map(|event| value(message(event))).collect();
        let expected = json!({"type": "history", "messages": messages, "more": true});
        assert_eq!(value(Some(history(&events, true))), expected);
    }

    #[test]
    fn a_frame_takes_one_allocation_with_room_for_what_stands_before_it() {
        let message_of = |text: &str| message(&logged(text)).unwrap();
        let id = Id::START;
        let renders: [(&str, &dyn Fn() -> Frame<'static>); 4] = [
            ("ack", &|| ack(Some(&"x".repeat(64)), &Logged { id, duplicate: false })),
            ("typing", &|| typing("a1b2c3d4e5f60718")),
            ("a short message", &|| message_of("hi")),
            ("a long message", &|| message_of(&"你好".repeat(10_000))),
        ];
        for (what, render) in renders {
            let Frame::Text(Cow::Owned(text)) = render() else { panic!("{what} is a text") };
            assert!(text.capacity() - text.len() >= 14, "{what} has {} of {}", text.len(), text.capacity());
        }
        let event = logged("hi 你好");
        let made = allocation_counter::measure(|| drop(message(&event)));
        assert_eq!(made.count_total, 1);
    }
}
