//! The server API under Centrifugo's names.

use serde_json::{Map, json};

use crate::support::centrifugo::{CentrifugoClient, plan};
use crate::support::http::Request;
use crate::support::process::Signal;
use crate::support::program::Program;
use crate::support::redis::Redis;
use crate::support::rooms_client::RoomsClient;
use crate::support::user::User;
use crate::support::wait::{PATIENCE, holds, seconds, until};

#[tokio::test]
async fn a_program_publishes_and_reads_what_clients_do() {
    let redis = Redis::start().await;
    let program = Program::start(&redis, "publish,read").await;
    let mut ann = CentrifugoClient::connect(&program.node, "ann").await;
    let mut eve = RoomsClient::connect(&program.node).await;
    eve.join("lobby").await;
    let start = ann.subscribe("lobby").await;
    // As it is written: 1.50 stays 1.50.
    let answer =
        program.call_raw("publish", r#"{"channel": "lobby", "data": {"text": "hi", "sum": 1.50}}"#).await;
    assert_eq!(answer, json!({ "result": { "offset": 1, "epoch": start["epoch"] } }));
    assert_eq!(ann.data("lobby", 1).await, [json!({ "text": "hi", "sum": 1.50 })]);
    assert_eq!(eve.texts("lobby", 1).await, ["hi"]);
    let request =
        Request::post("/centrifugo/api/history").header("Authorization", &format!("apikey {}", program.key));
    let history = request.body(r#"{"channel": "lobby", "limit": 10}"#).send(&program.node).await;
    assert!(history.body.contains(r#"{"text": "hi", "sum": 1.50}"#), "{history:?}");
    assert!(history.body.contains(r#""offset":1"#), "{history:?}");

    let twice = json!({ "channel": "lobby", "data": 2, "idempotency_key": "order-7" });
    for _ in 0..2 {
        assert_eq!(program.result("publish", &twice).await["offset"], 2);
    }
    let quiet = json!({ "channel": "lobby", "data": "live only", "skip_history": true });
    assert_eq!(program.result("publish", &quiet).await, json!({}));
    assert_eq!(ann.data("lobby", 2).await, [json!(2), json!("live only")]);
    for channel in ["#ann", "$deals", "smallhistory:a"] {
        program.result("publish", &json!({ "channel": channel, "data": 1 })).await;
    }
    assert_eq!(ann.data("#ann", 1).await, [json!(1)]);
    let remove = json!({ "channel": "smallhistory:a" });
    program.result("history_remove", &remove).await;
    let audited: Vec<String> = redis.query(&["ZRANGE", "parlor:index:audit:#publish-read", "0", "-1"]).await;
    assert!(
        audited.len() == 1 && audited[0].contains(r#""remove_all","about":"smallhistory:a""#),
        "{audited:?}"
    );
    let many = json!({ "channels": ["lobby", "a/b"], "data": 3 });
    let responses = program.result("broadcast", &many).await["responses"].take();
    assert_eq!((&responses[0]["result"]["offset"], &responses[1]["error"]["code"]), (&json!(3), &json!(102)));

    let presence = program.result("presence", &json!({ "channel": "lobby" })).await;
    let client = ann.id().to_owned();
    assert_eq!(presence["presence"][&client], json!({ "user": "ann", "client": client }));
    let stats = program.result("presence_stats", &json!({ "channel": "lobby" })).await;
    assert_eq!(stats, json!({ "num_clients": 2, "num_users": 2 }));
    assert_eq!(program.error("presence", &json!({ "channel": "quiet:a" })).await, 108);
    until(PATIENCE, "the room to be listed, with what nodes last reported", async || {
        let channels = program.result("channels", &json!({})).await["channels"].take();
        holds(channels["lobby"] == json!({ "num_clients": 2 }), || channels.to_string())
    })
    .await;
    assert_eq!(program.result("info", &json!({})).await["nodes"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn connections_of_a_killed_node_leave_where_only_programs_ask_for_them() {
    let redis = Redis::start().await;
    let program = Program::start(&redis, "read").await;
    let mut dying = plan().redis(&redis).start().await;
    let mut ann = CentrifugoClient::connect(&dying, "ann").await;
    ann.subscribe("hall").await;
    ann.subscribe("attic").await;
    let ask = async || {
        let listed = program.result("presence", &json!({ "channel": "hall" })).await["presence"].take();
        let count = program.result("presence_stats", &json!({ "channel": "attic" })).await;
        (listed.as_object().map(Map::len), count["num_clients"].as_u64())
    };
    assert_eq!(ask().await, (Some(1), Some(1)));
    dying.kill();
    until(seconds(15) + PATIENCE, "the connections to leave", async || {
        let known = ask().await;
        holds(known == (Some(0), Some(0)), || format!("{known:?}"))
    })
    .await;
}

#[tokio::test]
async fn no_key_is_known_while_redis_is_away() {
    let mut redis = Redis::start().await;
    let program = Program::start(&redis, "publish").await;
    let publish = json!({ "channel": "lobby", "data": 1 }).to_string();
    let ask = async || {
        let request = Request::post("/centrifugo/api/publish").header("X-API-Key", &program.key);
        request.body(&publish).send(&program.node).await
    };
    assert_eq!(ask().await.status, 200);
    redis.signal(Signal::SIGSTOP);
    let answer = ask().await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    redis.signal(Signal::SIGCONT);
    until(PATIENCE, "the node to know keys again", async || {
        let answer = ask().await;
        holds(answer.status == 200, || answer.status.to_string())
    })
    .await;
    // Redis knows the key, and takes no message.
    redis.query::<String>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_eq!(program.error("publish", &json!({ "channel": "lobby", "data": 1 })).await, 100);
}

#[tokio::test]
async fn a_program_ends_subscriptions_and_connections_of_a_user() {
    let redis = Redis::start().await;
    let program = Program::start(&redis, "disconnect").await;
    let account = User::registered(&program.node, "ann").await;
    let mut other = CentrifugoClient::by(&account, &program.node).await;
    other.subscribe("lobby").await;
    let mut ann = CentrifugoClient::connect(&program.node, "ann").await;
    ann.subscribe("lobby").await;
    ann.subscribe("hall").await;
    ann.subscribe("push:lobby").await;
    program.result("unsubscribe", &json!({ "user": "ann", "channel": "push:lobby" })).await;
    assert_eq!(ann.push("push:lobby", "unsubscribe").await["code"], 2000);
    ann.publish("lobby", &json!("still here")).await;
    program.result("unsubscribe", &json!({ "user": "ann", "channel": "lobby" })).await;
    assert_eq!(ann.push("lobby", "unsubscribe").await["code"], 2000);
    ann.publish("hall", &json!("still here")).await;
    program.result("disconnect", &json!({ "user": "ann" })).await;
    assert_eq!(ann.closed().await, (3503, "force disconnect".to_owned()));
    program.result("disconnect", &json!({ "user": "no such user" })).await;
    assert_eq!(program.error("disconnect", &json!({})).await, 107);
    // The account of the same name goes on, until it is named by its id.
    other.publish("lobby", &json!("still here")).await;
    let id = account.join(&program.node, "lobby").await.user().to_owned();
    let mut like = CentrifugoClient::connect(&program.node, &id).await;
    program.result("disconnect", &json!({ "user": id })).await;
    assert_eq!(other.closed().await, (3503, "force disconnect".to_owned()));
    like.subscribe("lobby").await;
    program.result("disconnect", &json!({ "user": format!("sub:{id}") })).await;
    assert_eq!(like.closed().await, (3503, "force disconnect".to_owned()));
}

#[tokio::test]
async fn a_bad_request_says_what_is_wrong() {
    let redis = Redis::start().await;
    let program = Program::start(&redis, "publish").await;
    let first = json!({ "channel": "lobby", "data": 1, "idempotency_key": "k" });
    program.result("publish", &first).await;
    let long = "x".repeat(100_000);
    for (method, params, wrong) in [
        ("publish", json!({ "channel": "lobby" }), "missing field `data`"),
        ("publish", json!({ "channel": "lobby", "data": 1, "tags": {} }), "unknown field `tags`"),
        (
            "publish",
            json!({ "channel": "lobby", "data": 2, "idempotency_key": "k" }),
            "another message has it",
        ),
        ("publish", json!({ "channel": "lobby", "data": long }), "`data`: expected up to 65536 bytes"),
        ("publish", json!({ &long: 1 }), "unknown field `xxx"),
        ("publish", json!([]), "expected a JSON object"),
        ("broadcast", json!({ "channels": [], "data": 1 }), "`channels`: expected 1 to 100"),
        ("batch", json!({ "commands": [] }), "`commands`: expected 1 to 100"),
    ] {
        let error = program.call(method, &params).await["error"].take();
        let message = error["message"].as_str().unwrap_or_default();
        assert_eq!(error["code"], 107, "{error}");
        assert!(message.starts_with("bad request: ") && message.contains(wrong), "{message:?}: {wrong}");
        assert!(message.len() < 250, "{message}");
    }
}

#[tokio::test]
async fn what_a_method_does_not_offer_is_an_error() {
    let redis = Redis::start().await;
    let program = Program::start(&redis, "publish").await;
    for (method, params, code) in [
        ("publish", json!({}), 107),
        ("publish", json!({ "channel": "lobby" }), 107),
        ("publish", json!({ "channel": "lobby", "data": 1, "tags": { "a": "b" } }), 107),
        ("publish", json!({ "channel": "push:lobby", "data": 1 }), 102),
        ("publish", json!({ "channel": "lobby", "data": "x".repeat(65_536) }), 107),
        ("broadcast", json!({ "channels": [], "data": 1 }), 107),
        ("history", json!({ "channel": "lobby" }), 103),
        ("history_remove", json!({ "channel": "@ann" }), 102),
        ("history_remove", json!({ "channel": "lobby", "user": "ann" }), 107),
        ("disconnect", json!({ "user": "ann" }), 103),
        ("rpc", json!({ "method": "sum", "data": 1 }), 108),
        ("nothing", json!({}), 104),
        ("batch", json!({ "commands": [] }), 107),
        ("publish", json!([]), 107),
        ("publish", json!(["lobby", 1, "key", false]), 107),
        // Parameters of another method are none of this one.
        ("publish", json!({ "channel": "lobby", "data": 1, "limit": 10 }), 107),
        ("publish", json!({ "channel": "lobby", "data": 1, "idempotency_key": "k".repeat(256) }), 107),
        ("broadcast", json!({ "channels": ["lobby"], "data": 1, "user": "ann" }), 107),
        // Only the log knows what was sent before.
        (
            "publish",
            json!({ "channel": "lobby", "data": 1, "idempotency_key": "k", "skip_history": true }),
            108,
        ),
    ] {
        assert_eq!(program.error(method, &params).await, code, "{method} {params}");
    }
    let commands = json!([
        { "publish": { "channel": "lobby", "data": 1 } },
        { "history": { "channel": "lobby" } },
        { "batch": { "commands": [] } },
        {},
        { "publish": { "channel": "lobby", "data": 2 } },
    ]);
    let replies = program.replies(&json!({ "commands": commands })).await;
    let codes: Vec<_> = replies.iter().map(|reply| reply["error"]["code"].as_u64()).collect();
    assert_eq!(codes, [None, Some(103), Some(104), Some(107), None], "{replies:?}");
    assert_eq!(replies[4]["publish"]["offset"], 2, "{replies:?}");
    let reader = Program::on(&redis, &plan(), "read,disconnect").await;
    for (method, params) in [
        ("history", json!({ "channel": "lobby", "data": 1 })),
        ("history", json!({ "channel": "lobby", "since": { "offset": 1, "epoch": "", "id": 1 } })),
        ("presence", json!({ "channel": "lobby", "reverse": true })),
        ("info", json!({ "channel": "lobby" })),
        ("disconnect", json!({ "user": "ann", "data": 1 })),
        ("unsubscribe", json!({ "user": "ann" })),
    ] {
        assert_eq!(reader.error(method, &params).await, 107, "{method} {params}");
    }
    for key in ["", "wrong"] {
        let request = Request::post("/centrifugo/api/info").header("X-API-Key", key);
        assert_eq!(request.body("{}").send(&program.node).await.status, 401);
    }
    assert_eq!(Request::post("/centrifugo/api/info").body("{}").send(&program.node).await.status, 401);
}
