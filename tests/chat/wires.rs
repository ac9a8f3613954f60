//! One room on every wire: what is said on one is read on all, and is the same message.

use serde_json::{Value, json};
use tokio_centrifuge::config::Protocol;
use tokio_centrifuge::protocol::Publication;

use crate::support::centrifugo::plan;
use crate::support::channels_consumer::{self, ChannelsConsumer};
use crate::support::encoded_client::EncodedClient;
use crate::support::event_stream::{EventStream, post, stream_of};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, fresh_id};

const ROOM: &str = "lobby";

/// A client of each wire, at several nodes, and a consumer of Django in the same room.
struct Readers {
    redis: Redis,
    nodes: [Node; 3],
    plain: TutorialClient,
    v1: V1Client,
    sse: EventStream,
    json: EncodedClient,
    protobuf: EncodedClient,
    django: ChannelsConsumer,
    /// The epoch of the room.
    epoch: String,
}

/// A message as the wires show it.
#[derive(Debug, PartialEq)]
struct Shown {
    text: Value,
    data: Value,
    id: Value,
    user: Value,
    name: Value,
}

impl Readers {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let plan = plan().redis(&redis);
        let nodes = [plan.start().await, plan.start().await, plan.start().await];
        let [first, second, third] = &nodes;
        let mut json = EncodedClient::connect(second.address(), Protocol::Json, "ann").await;
        let mut protobuf = EncodedClient::connect(third.address(), Protocol::Protobuf, "bob").await;
        let epoch = json.subscribe(ROOM).await.epoch;
        assert_eq!(protobuf.subscribe(ROOM).await.epoch, epoch);
        Self {
            plain: TutorialClient::chat(first, ROOM).await,
            v1: V1Client::join(second, ROOM).await,
            sse: EventStream::open(third, Request::get(&stream_of(ROOM))).await,
            django: ChannelsConsumer::join(&redis, ROOM).await,
            json,
            protobuf,
            epoch,
            nodes,
            redis,
        }
    }

    /// Reads the next message on each wire but the plain one: it is the same on all. Returns it,
    /// and its offset, which is 0 without one.
    async fn next(&mut self, what: &str) -> (Shown, u64) {
        let frame = self.v1.receive().await;
        let shown = of_v1(&frame);
        let part = self.sse.receive_event("message").await;
        assert_eq!((&of_v1(&part.frame), &part.frame["at"]), (&shown, &frame["at"]), "{what}, by SSE");
        assert_eq!(part.id.map_or(Value::Null, Value::from), shown.id, "{what}, by SSE");
        let event = self.django.receive().await;
        assert_eq!(of_channels(&event), shown, "{what}, in Django: {event}");
        let offset = offset_of_channels(&event, &self.epoch);
        for client in [&mut self.json, &mut self.protobuf] {
            let publication = client.publication(ROOM).await;
            assert_same(&publication, &shown, what);
            assert_eq!(publication.time, frame["at"].as_i64().unwrap_or_default(), "{what}: {publication:?}");
            assert_eq!(publication.offset, offset, "{what}: {publication:?}, {event}");
        }
        (shown, offset)
    }
}

/// A frame of `parlor.v1`.
fn of_v1(frame: &Value) -> Shown {
    let [text, data, id, user, name] =
        ["text", "data", "id", "user", "name"].map(|name| frame.get(name).cloned().unwrap_or_default());
    Shown { text, data, id, user, name }
}

/// An event in a consumer of Channels, whose members are texts.
fn of_channels(event: &Value) -> Shown {
    let kind = event["type"].as_str().expect("a type");
    assert_eq!(kind.replace('.', "_"), "chat_message", "{event}");
    let [message, data, id, user, name] =
        ["message", "data", "id", "user", "name"].map(|name| event.get(name).cloned().unwrap_or_default());
    let data = data.as_str().map_or(Value::Null, |data| serde_json::from_str(data).expect("JSON"));
    let text = if message == "" { Value::Null } else { message };
    Shown { text, data, id, user, name }
}

/// The number of an event in a consumer of Channels, which is of this epoch; 0 without one.
fn offset_of_channels(event: &Value, epoch: &str) -> u64 {
    let Some(offset) = event["offset"].as_str() else { return 0 };
    let (of, number) = offset.split_once(':').expect("an epoch and a number");
    let parse = |epoch| u64::from_str_radix(epoch, 16).expect("an epoch");
    assert_eq!(parse(of), parse(epoch), "{event}");
    number.parse().expect("a number")
}

/// Asserts that a publication of Centrifugo's protocol is the message.
fn assert_same(publication: &Publication, shown: &Shown, what: &str) {
    let data: Value = serde_json::from_slice(&publication.data).expect("JSON");
    let what = format!("{what}: {data} {publication:?}");
    if shown.data.is_null() {
        let seen = [&data["text"], &data["id"], &data["user"], &data["name"]];
        assert_eq!(seen, [&shown.text, &shown.id, &shown.user, &shown.name], "{what}");
    } else {
        assert_eq!(data, shown.data, "{what}");
    }
    assert_eq!(publication.tags.get("id").map(String::as_str), shown.id.as_str(), "{what}");
}

#[tokio::test]
async fn a_message_of_any_wire_is_read_on_all_with_one_id_and_offset() {
    let mut readers = Readers::start().await;
    let mut ids = Vec::new();
    for (index, wire) in ["plain", "parlor.v1", "POST", "JSON", "Protobuf"].into_iter().enumerate() {
        let text = format!("by {wire}");
        let mut acked = None;
        match wire {
            "plain" => readers.plain.publish(&text).await,
            "parlor.v1" => acked = Some(readers.v1.publish(&text).await["id"].take()),
            "POST" => {
                let body = json!({ "text": text, "id": fresh_id() });
                acked = Some(post(&readers.nodes[0], ROOM, &body).await.json()["id"].take());
            }
            "JSON" => readers.json.publish(ROOM, &json!({ "text": text })).await,
            _ => readers.protobuf.publish(ROOM, &json!({ "text": text })).await,
        }
        let (shown, offset) = readers.next(&text).await;
        assert_eq!((shown.text.as_str(), offset), (Some(&*text), index as u64 + 1), "{shown:?}");
        assert_eq!(readers.plain.receive_chat().await, text);
        assert!(shown.id.is_string() && acked.is_none_or(|id| id == shown.id), "{shown:?}");
        assert!(!ids.contains(&shown.id), "{ids:?} {shown:?}");
        ids.push(shown.id);
    }
    // What did not pass the log has neither.
    channels_consumer::say(&readers.redis, ROOM, "by Django").await;
    let (shown, offset) = readers.next("by Django").await;
    assert_eq!((shown.text.as_str(), shown.id, offset), (Some("by Django"), Value::Null, 0));
    assert_eq!(readers.plain.receive_chat().await, "by Django");
}

#[tokio::test]
async fn data_of_any_wire_are_read_on_all_that_show_data() {
    let mut readers = Readers::start().await;
    for (index, wire) in ["parlor.v1", "POST", "JSON", "Protobuf"].into_iter().enumerate() {
        let data = json!({ "by": wire, "list": [1, 2.5, null] });
        match wire {
            "parlor.v1" => {
                readers.v1.send_json(&json!({ "data": data, "id": fresh_id() })).await;
                assert_eq!(readers.v1.reply().await["type"], "ack");
            }
            "POST" => {
                let body = json!({ "data": data, "id": fresh_id() });
                assert_eq!(post(&readers.nodes[0], ROOM, &body).await.json()["type"], "ack");
            }
            "JSON" => readers.json.publish(ROOM, &data).await,
            _ => readers.protobuf.publish(ROOM, &data).await,
        }
        let (shown, offset) = readers.next(wire).await;
        assert_eq!((shown.text, shown.data, offset), (Value::Null, data, index as u64 + 1));
    }
    readers.v1.publish("a text").await;
    assert_eq!(readers.plain.receive_chat().await, "a text", "the plain wire shows texts only");
}
