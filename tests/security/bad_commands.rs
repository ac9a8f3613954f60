//! Commands that no client sends on purpose, at the default settings: each has its answer, costs
//! the node little, and disturbs no other client of the room.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_centrifuge::config::Protocol;
use tokio_centrifuge::protocol::{
    Command, ConnectRequest, PingRequest, PublishRequest, RefreshRequest, Reply, SubscribeRequest,
};

use crate::support::api_client::ApiClient;
use crate::support::bystander::BystanderRoom;
use crate::support::centrifugo::{plan, token, token_of};
use crate::support::cli;
use crate::support::encoded_client::{ENCODINGS, EncodedClient, frame_of};
use crate::support::event_stream::messages;
use crate::support::frame::{BINARY, Frame, TEXT};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::node::{Node, OPEN_DOORS, Plan};
use crate::support::redis::Redis;
use crate::support::rooms_client::RoomsClient;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, seconds, within};
use crate::support::websocket::Message;

/// The default of `--max-channels`.
const MAX_CHANNELS: usize = 128;
/// What the node may compute for one of these, unoptimized. None takes a tenth of it.
const MAX_CPU: Duration = seconds(2);
/// The default of `--messages-per-second` times its burst: commands that are carried out at once.
const BURST: usize = 200;

/// What no parser takes for JSON.
const NO_JSON: &str = "[1,]";

struct Site {
    room: BystanderRoom,
    redis: Redis,
}

impl Site {
    /// Starts a node with the limits of the defaults.
    async fn start() -> Self {
        let redis = Redis::start().await;
        let others = ["PARLOR_NAMESPACES", "PARLOR_PERSONAL_CHANNELS"];
        let limits = OPEN_DOORS.iter().map(|(name, _)| *name).chain(others);
        let plan = limits.fold(plan(), Plan::without_env).redis(&redis);
        Self { room: BystanderRoom::with_node(plan.start().await).await, redis }
    }

    /// Runs the client, which may cost the node [`MAX_CPU`]. The bystander receives the next
    /// message of the room after it, and nothing before that.
    async fn endures<T>(&mut self, what: &str, client: impl AsyncFnOnce(&Node) -> T) -> T {
        let before = self.room.node.cpu();
        let answer = within(PATIENCE, what, client(&self.room.node)).await;
        self.room.expect_delivery(what).await;
        let spent = self.room.node.cpu().saturating_sub(before);
        assert!(spent < MAX_CPU, "{spent:?} for {what}");
        answer
    }
}

fn channel(number: usize) -> String {
    if number == 0 { "lobby".to_owned() } else { format!("room {number}") }
}

fn subscribe(channel: &str, token: &str) -> Command {
    let request =
        SubscribeRequest { channel: channel.to_owned(), token: token.to_owned(), ..Default::default() };
    Command::Subscribe(request)
}

fn publish(channel: &str, data: impl Into<Vec<u8>>) -> Command {
    Command::Publish(PublishRequest { channel: channel.to_owned(), data: data.into() })
}

/// The code of an error; 0 for another reply.
fn code(reply: &Reply) -> u32 {
    if let Reply::Error(error) = reply { error.code } else { 0 }
}

fn deep(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[tokio::test]
async fn the_129th_room_of_a_connection_is_refused_and_the_others_go_on() {
    let mut site = Site::start().await;
    let mut ann = site
        .endures("129 joins", async |node| {
            let mut ann = RoomsClient::connect(node).await;
            for number in 0..=MAX_CHANNELS {
                ann.send(&json!({ "type": "join", "room": channel(number) })).await;
            }
            for number in 0..MAX_CHANNELS {
                assert_eq!(ann.next_of("welcome").await["room"], channel(number));
            }
            let error = ann.next_of("error").await;
            assert_eq!((&error["room"], &error["code"]), (&json!(channel(MAX_CHANNELS)), &json!("too_many")));
            ann
        })
        .await;
    ann.publish(&channel(MAX_CHANNELS - 1), "here").await;
    assert_eq!(ann.texts(&channel(MAX_CHANNELS - 1), 1).await, ["here"]);
    for encoding in ENCODINGS {
        let mut bob = site
            .endures("129 subscriptions", async |node| {
                let mut bob = EncodedClient::connect(node.address(), encoding, "bob").await;
                let commands = (0..=MAX_CHANNELS).map(|number| subscribe(&channel(number), ""));
                bob.send(frame_of(encoding, (2..).zip(commands))).await;
                for number in 0..=MAX_CHANNELS {
                    let reply = bob.reply(u32::try_from(number).unwrap() + 2).await;
                    assert_eq!(
                        code(&reply),
                        if number < MAX_CHANNELS { 0 } else { 106 },
                        "{number}: {reply:?}"
                    );
                }
                bob
            })
            .await;
        bob.publish(&channel(MAX_CHANNELS - 1), &json!({ "text": "bob" })).await;
        let publication = bob.publication(&channel(MAX_CHANNELS - 1)).await;
        assert_eq!(publication.data, br#"{"text":"bob"}"#);
        assert_eq!(ann.texts(&channel(MAX_CHANNELS - 1), 1).await, ["bob"]);
    }
}

#[tokio::test]
async fn a_frame_of_10000_commands_is_answered_in_order_until_it_is_a_flood() {
    const COMMANDS: u32 = 10_000;
    let mut site = Site::start().await;
    for encoding in ENCODINGS {
        let command = match encoding {
            Protocol::Json => Command::Ping(PingRequest {}),
            Protocol::Protobuf => publish("attic", "1"),
        };
        site.endures(&format!("{COMMANDS} commands in {encoding:?}"), async |node| {
            let mut ann = EncodedClient::connect(node.address(), encoding, "ann").await;
            ann.subscribe("attic").await;
            ann.send(frame_of(encoding, (10..10 + COMMANDS).map(|number| (number, command.clone())))).await;
            let mut codes = Vec::new();
            while let Some(reply) = ann.try_reply(u32::try_from(codes.len()).unwrap() + 10).await {
                codes.push(code(&reply));
            }
            // The allowance grows while they are answered.
            let carried_out = codes.iter().filter(|code| **code != 111).count();
            assert!((BURST - 10..BURST * 2).contains(&carried_out), "{carried_out} of {}", codes.len());
            assert!((BURST * 2 - 10..BURST * 4).contains(&codes.len()), "{} replies", codes.len());
            assert_eq!(ann.closed().await, (3013, "too many requests".to_owned()));
        })
        .await;
    }
    let key = cli::key(&site.redis, "billing", "publish,read").await;
    for (command, status) in [(r#"{"a":1}"#, 200), (r#"{"publish":{"channel":"attic","data":1}}"#, 413)] {
        let body = format!(r#"{{"commands":[{}]}}"#, vec![command; 10_000].join(","));
        let answer = site
            .endures("10,000 commands for the API", async |node| {
                let request = Request::post("/centrifugo/api/batch").header("X-API-Key", &key);
                request.body(&body).send(node).await
            })
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 200 {
            assert_eq!(answer.json()["error"]["code"], 107);
        }
    }
    let commands = vec![r#"{"id":2,"ping":{}}"#; 5_000].join("\n");
    let connect = json!({ "id": 1, "connect": { "token": token_of("ann") } });
    let ended = site
        .endures("5,000 commands for a stream", async |node| {
            let body = format!("{connect}\n{commands}");
            Request::post("/connection/http_stream").body(body).send(node).await
        })
        .await;
    let last = ended.body.lines().rev().find(|line| line.starts_with('{')).expect("a last message");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["push"]["disconnect"]["code"], 3013, "{last}");
}

#[tokio::test]
async fn protobuf_that_does_not_end_or_ends_early_closes_its_socket_only() {
    let mut site = Site::start().await;
    let behind_its_length = |bytes: Vec<u8>| {
        let mut frame = Vec::new();
        prost::encoding::encode_varint(bytes.len() as u64, &mut frame);
        [frame, bytes].concat()
    };
    for (what, bytes) in [
        ("a message that is cut short", vec![9, 8, 1]),
        ("a length that is cut short", vec![0x80, 0x80]),
        ("a length without end", vec![0xff; 200_000]),
        ("a length of 2^63", vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]),
        ("a number without end", behind_its_length([vec![8], vec![0xff; 100_000]].concat())),
        ("a member that is cut short", behind_its_length(vec![0x22, 0xff, 0xff, 3])),
        ("groups in groups", behind_its_length(vec![0x0b; 200_000])),
        ("no UTF-8 in a name", behind_its_length(vec![8, 1, 0x2a, 3, 0x0a, 1, 0xff])),
    ] {
        for is_connected in [false, true] {
            let frame = Message::binary(bytes.clone());
            let closed = site
                .endures(what, async |node| {
                    let address = node.address();
                    let mut ann = if is_connected {
                        EncodedClient::connect(address, Protocol::Protobuf, "ann").await
                    } else {
                        EncodedClient::open(address, Protocol::Protobuf).await
                    };
                    ann.send(frame).await;
                    ann.closed().await
                })
                .await;
            assert_eq!(closed, (3501, "bad request".to_owned()), "{what}");
        }
    }
}

#[tokio::test]
async fn data_of_65_kilobytes_are_refused_on_every_wire() {
    let mut site = Site::start().await;
    let data = json!("x".repeat(65_000 + 536));
    let key = cli::key(&site.redis, "billing", "publish").await;
    site.endures("65 KB of data", async |node| {
        let mut v1 = V1Client::join(node, "lobby").await;
        v1.send_json(&json!({ "data": data })).await;
        v1.expect_error("too_large").await;
        let post = messages("lobby").body(json!({ "data": data }).to_string()).send(node).await;
        assert_eq!((post.status, &post.json()["code"]), (413, &json!("too_large")), "{post:?}");
        let program = Request::post("/centrifugo/api/publish").header("X-API-Key", &key);
        let program = program.body(json!({ "channel": "lobby", "data": data }).to_string()).send(node).await;
        assert_eq!(program.json()["error"]["code"], 107, "{program:?}");
        for encoding in ENCODINGS {
            let mut bob = EncodedClient::connect(node.address(), encoding, "bob").await;
            bob.subscribe("lobby").await;
            assert_eq!(bob.error(publish("lobby", data.to_string())).await, 107);
            bob.publish("lobby", &json!(1)).await;
            assert_eq!(bob.publication("lobby").await.data, b"1");
        }
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_refused_on_every_wire() {
    let mut site = Site::start().await;
    let key = cli::key(&site.redis, "billing", "publish").await;
    let v1 = b"{\"data\": \"\xff\"}";
    let json = b"{\"id\": 2, \"publish\": {\"channel\": \"lobby\", \"data\": \"\xff\"}}";
    for opcode in [TEXT, BINARY] {
        let command = Frame::new(opcode, json).bytes();
        site.room.expect_close_at("/connection/websocket", 3501, "no UTF-8 in a command", &command).await;
    }
    site.endures("no UTF-8 in data", async |node| {
        let mut ann = Handshake::at("/ws").connect_narrow(node, 65_536).await;
        ann.send_frame(&Frame::new(TEXT, v1)).await;
        assert_eq!(ann.close_code().await.0, 1007);
        let mut bob = EncodedClient::connect(node.address(), Protocol::Protobuf, "bob").await;
        bob.subscribe("lobby").await;
        for data in [&b"\"\xff\""[..], b"\xff", b"\"\xed\xa0\x80\"", b"", b"nul"] {
            assert_eq!(bob.error(publish("lobby", data)).await, 107, "{data:x?}");
        }
        let post = messages("lobby").body(v1).send(node).await;
        assert_eq!((post.status, &post.json()["code"]), (400, &json!("malformed")), "{post:?}");
        let program = Request::post("/centrifugo/api/publish").header("X-API-Key", &key);
        let program = program.body(b"{\"channel\": \"lobby\", \"data\": \"\xff\"}").send(node).await;
        assert_eq!(program.json()["error"]["code"], 107, "{program:?}");
    })
    .await;
}

#[tokio::test]
async fn data_that_readers_cannot_parse_are_refused_on_every_wire() {
    let mut site = Site::start().await;
    let key = cli::key(&site.redis, "billing", "publish").await;
    let api = ApiClient::with_bearer(&key);
    for data in [deep(127), deep(200), deep(30_000), "1e999".to_owned(), NO_JSON.to_owned()] {
        site.endures(&format!("{data:.20}"), async |node| {
            let body = format!(r#"{{"data":{data}}}"#);
            let mut v1 = V1Client::join(node, "lobby").await;
            v1.send(Message::text(body.clone())).await;
            v1.expect_error("malformed").await;
            let post = messages("lobby").body(&body).send(node).await;
            assert_eq!((post.status, &post.json()["code"]), (400, &json!("malformed")), "{post:?}");
            for encoding in ENCODINGS {
                let mut bob = EncodedClient::connect(node.address(), encoding, "bob").await;
                bob.subscribe("lobby").await;
                bob.send(match encoding {
                    Protocol::Json => {
                        let publish = format!(r#"{{"channel":"lobby","data":{data}}}"#);
                        Message::text(format!(r#"{{"id":9,"publish":{publish}}}"#))
                    }
                    Protocol::Protobuf => frame_of(encoding, [(9, publish("lobby", data.clone()))]),
                })
                .await;
                if encoding == Protocol::Json && data == NO_JSON {
                    assert_eq!(bob.closed().await.0, 3501);
                } else {
                    assert_eq!(code(&bob.reply(9).await), 107, "{data:.20}");
                }
            }
            let program = Request::post("/centrifugo/api/publish").header("X-API-Key", &key);
            let program = program.body(format!(r#"{{"channel":"lobby","data":{data}}}"#)).send(node).await;
            assert_eq!(program.json()["error"]["code"], 107, "{data:.20}: {program:?}");
            let program = api.request("POST", "/api/rooms/lobby/messages").body(&body);
            let program = program.header("Content-Type", "application/json").send(node).await;
            assert_eq!(program.status, 400, "{data:.20}: {program:?}");
        })
        .await;
    }
    // Half a character is read as the replacement character, as in texts.
    let mut bob = EncodedClient::connect(site.room.node.address(), Protocol::Protobuf, "bob").await;
    bob.subscribe("lobby").await;
    assert_eq!(code(&bob.call(publish("lobby", r#"["\ud83d"]"#)).await), 0);
    assert_eq!(bob.publication("lobby").await.data, br#"["\ufffd"]"#);
}

#[tokio::test]
async fn tokens_of_others_end_or_open_nothing_else() {
    let mut site = Site::start().await;
    for encoding in ENCODINGS {
        let refused = site
            .endures("a token of another user on refresh", async |node| {
                let mut ann = EncodedClient::connect(node.address(), encoding, "ann").await;
                ann.subscribe("lobby").await;
                let request = RefreshRequest { token: token_of("bob") };
                ann.send(frame_of(encoding, [(9, Command::Refresh(request))])).await;
                ann.closed().await
            })
            .await;
        assert_eq!(refused, (3500, "invalid token".to_owned()));
        site.endures("a token for another channel", async |node| {
            let mut ann = EncodedClient::connect(node.address(), encoding, "ann").await;
            let of = |user: &str, channel: &str| token(&json!({ "sub": user, "channel": channel }));
            for token in [of("ann", "lobby"), of("bob", "$deals"), of("ann", "$deals") + "x", token_of("ann")]
            {
                assert_eq!(ann.error(subscribe("$deals", &token)).await, 103, "{token}");
            }
            assert_eq!(ann.error(subscribe("lobby", &of("ann", "$deals"))).await, 103);
            assert_eq!(code(&ann.call(subscribe("$deals", &of("ann", "$deals"))).await), 0);
            ann.subscribe("lobby").await;
        })
        .await;
        let unused = ConnectRequest { token: token_of("bob"), ..Default::default() };
        let closed = site
            .endures("a second connect", async |node| {
                let mut ann = EncodedClient::connect(node.address(), encoding, "ann").await;
                ann.send(frame_of(encoding, [(9, Command::Connect(unused))])).await;
                ann.closed().await
            })
            .await;
        assert_eq!(closed, (3501, "bad request".to_owned()));
    }
}
