//! The JSON of the server's frames.

use std::borrow::Cow;

use parlor::{Event, REDACTED};
use serde_json::{Value, json};

use super::*;

/// Creates a logged message with this text.
fn logged(text: &str) -> Event {
    let said =
        Event::new("chat_message").with("message", text).with("user", "a1b2c3d4e5f60718").with("name", "ann");
    Event::decode(&said.with("id", "1758000000000-3").with("prev", "1758000000000-2").encode()).unwrap()
}

/// Encodes an event as the chat channel shows it.
fn encode(event: &Event) -> Option<Frame<'static>> {
    let message = event.text("message").map(|text| View::message(event, text));
    view(&message.or_else(|| View::from_layer(event))?, "lobby")
}

fn value(frame: Option<Frame<'static>>) -> Value {
    let Some(Frame::Text(text)) = frame else { panic!("a frame of text") };
    serde_json::from_str(&text).unwrap()
}

#[test]
fn members_without_a_value_are_null() {
    let at = 1_758_000_000_000_u64;
    let full = json!({
        "type": "message", "room": "lobby", "text": "\"a\n你", "user": "a1b2c3d4e5f60718", "name": "ann",
        "id": "1758000000000-3", "prev": "1758000000000-2", "at": at,
    });
    assert_eq!(value(encode(&logged("\"a\n你"))), full);
    let bare = json!({
        "type": "message", "room": "lobby", "text": "a", "user": null, "name": null, "id": null, "prev": null, "at": null,
    });
    assert_eq!(value(encode(&Event::new("x").with("message", "a"))), bare);
    assert!(encode(&Event::new("x")).is_none());
    let state = Event::new("parlor_presence")
        .with("change", "state")
        .with("count", "2")
        .with("members", " a/~x b/bob");
    let expected = json!({
        "type": "presence", "room": "lobby", "change": "state", "user": null, "name": null, "members": ["a", "b"],
        "names": {"a": "~x", "b": "bob"}, "count": 2,
    });
    assert_eq!(value(encode(&state)), expected);
    let redacted = |id: &str| Event::new(REDACTED).with("id", id);
    let expected = json!({"type": "removed", "room": "lobby", "id": "1758000000000-3"});
    assert_eq!(value(encode(&redacted("1758000000000-3"))), expected);
    let gone = Event::new("parlor_gap").with("reason", "trimmed").with("after", "0-0");
    assert_eq!(
        value(encode(&gone)),
        json!({"type": "gap", "room": "lobby", "reason": "trimmed", "after": null})
    );
    let channel = ChannelName { stream: "chat", name: "lobby" };
    let unavailable = FrameError::unavailable();
    let expected = json!({
        "type": "error", "stream": "chat", "room": "lobby", "code": "unavailable", "detail": unavailable.detail, "client_id": null, "retry": true,
    });
    assert_eq!(value(Some(error(channel.into(), &unavailable, None))), expected);
}

#[test]
fn history_holds_messages_as_they_were_sent() {
    let events = ["a", "你"].map(|text| Arc::new(Delivery::from(logged(text))));
    let messages: Vec<Value> = events.iter().map(|event| value(encode(event))).collect();
    let expected = json!({"type": "history", "room": "lobby", "messages": messages, "more": true});
    assert_eq!(
        value(Some(history("lobby", &events, true, |event| event
            .text("message")
            .map(|text| View::message(event, text))))),
        expected
    );
}

#[test]
fn a_frame_takes_one_allocation_with_room_for_what_stands_before_it() {
    let message_of = |text: &str| encode(&logged(text)).unwrap();
    let id = Id::START;
    let renders: [(&str, &dyn Fn() -> Frame<'static>); 4] = [
        ("ack", &|| ack("lobby", Some(&"x".repeat(64)), &Logged { id, duplicate: false })),
        ("typing", &|| typing("lobby", "a1b2c3d4e5f60718/ann")),
        ("a short message", &|| message_of("hi")),
        ("a long message", &|| message_of(&"你好".repeat(10_000))),
    ];
    for (what, render) in renders {
        let Frame::Text(Cow::Owned(text)) = render() else { panic!("{what} is a text") };
        assert!(text.capacity() - text.len() >= 14, "{what} has {} of {}", text.len(), text.capacity());
    }
    let event = logged("hi 你好");
    let made = allocation_counter::measure(|| drop(encode(&event)));
    assert_eq!(made.count_total, 1);
}

#[test]
fn a_left_channel_says_whether_to_join_again() {
    let channel = ChannelName { stream: "chat", name: "lobby" };
    for (code, retry) in [
        (CloseCode::Normal, false),
        (CloseCode::Forbidden, false),
        (CloseCode::LoginEnded, false),
        (CloseCode::ServiceRestart, true),
        (CloseCode::TryAgainLater, true),
    ] {
        let expected = json!({
            "type": "left", "stream": "chat", "room": "lobby", "code": code.number(), "reason": "why", "retry": retry,
        });
        assert_eq!(value(Some(left(channel, &Close::new(code, "why")))), expected);
    }
    let inbox = ChannelName { stream: INBOX, name: INBOX };
    assert_eq!(value(Some(left(inbox, &CloseCode::Normal.into())))["room"], Value::Null);
}
