//! Other users cannot read or write a conversation, by any name or route.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{key, operator};
use crate::support::handshake::{Handshake, V1};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::encoded;
use crate::support::user::User;
use crate::support::v1_client::{V1Client, id_of, texts_of};
use crate::support::wait::{PATIENCE, within};

/// What Ann sends Bob.
const SECRET_TEXT: &str = "xyzzy-for-bob-alone";

struct BystanderRoom {
    redis: Redis,
    nodes: [Node; 2],
    ann: User,
    bob: User,
    /// Their sockets, on one node each.
    at_anns: V1Client,
    at_bobs: V1Client,
    /// The id of the message.
    reported: String,
}

impl BystanderRoom {
    async fn set() -> Self {
        let redis = Redis::start().await;
        let nodes = Node::several::<2>(&redis).await;
        let bob = User::registered(&nodes[0], "bob").await;
        let ann = User::registered(&nodes[0], "ann").await;
        let mut at_anns = ann.join(&nodes[0], "@bob").await;
        let mut at_bobs = bob.join(&nodes[1], "@ann").await;
        at_anns.publish(SECRET_TEXT).await;
        let received = at_bobs.receive().await;
        assert_eq!(received["text"], SECRET_TEXT);
        assert_eq!(id_of(&at_anns.receive().await), id_of(&received));
        Self { redis, nodes, ann, bob, at_anns, at_bobs, reported: id_of(&received) }
    }

    /// Every name that could lead to the conversation: of users, of ids, and of keys in Redis.
    async fn names(&self) -> BTreeSet<String> {
        let (ann, bob) = (self.at_anns.user(), self.at_bobs.user());
        let mut names: BTreeSet<String> = [
            "@ann",
            "@bob",
            "@ANN",
            "@~ann",
            "@ann,bob",
            "@ann+bob",
            "@ann/bob",
            "ann,bob",
            "dm_ann_bob",
            "ann",
            "bob",
        ]
        .map(str::to_owned)
        .into();
        for (one, other) in [(ann, bob), (bob, ann)] {
            names.extend([format!("@{one}"), one.to_owned(), format!("{one}/ann"), format!("{one}/bob")]);
            for between in ["_", "-", ".", ":", ",", "/", "|", "+", ""] {
                let both = format!("{one}{between}{other}");
                names.extend([
                    format!("dm_{both}"),
                    format!("dm-{both}"),
                    format!("dm.{both}"),
                    format!("@{both}"),
                    both,
                ]);
            }
        }
        for channel in self.redis.query::<Vec<String>>(&["PUBSUB", "CHANNELS", "*"]).await {
            let group =
                channel.trim_start_matches("asgi__group__").trim_start_matches("parlor:c:").to_owned();
            let group = group.trim_matches(['{', '}']).to_owned();
            names.extend([group.trim_start_matches("chat_").to_owned(), group, channel]);
        }
        names
    }
}

/// Requests every route of a room as this user; returns all response bodies and the sockets that
/// were opened.
async fn sees(person: &User, node: &Node, name: &str) -> (Vec<String>, Vec<V1Client>) {
    let own = format!("http://{}", node.address());
    let room = encoded(name);
    let sent = json!({ "message": "from outside" }).to_string();
    let mut seen = Vec::new();
    for request in [
        Request::get(&format!("/chat/{room}")),
        Request::get(&format!("/chat/{room}/")).header("Accept", "text/html"),
        Request::get(&format!("/dm/{}/", encoded(name.trim_start_matches('@'))))
            .header("Accept", "text/html"),
        Request::get(&format!("/chat/{room}/members/")),
        Request::post(&format!("/chat/{room}/messages")).body(sent),
        Request::post(&format!("/push?room={room}")).body(""),
        Request::new("DELETE", &format!("/push?room={room}")),
        Request::get(&format!("/api/rooms/{room}/messages?limit=100")),
        Request::get(&format!("/api/rooms/{room}/members")),
        Request::get(&format!("/api/rooms/{room}")),
    ] {
        let response = person.with_cookies(request.header("Origin", &own)).send(node).await;
        assert!(response.status < 500, "{name}: {response:?}");
        seen.push(response.body);
    }
    let mut members = Vec::new();
    for path in [format!("/ws/chat/{room}/"), format!("/ws/push/{room}")] {
        let ticket = person.handshake_at(&path).history(100);
        if let Ok(socket) = ticket.try_connect(node.address()).await {
            members.push(V1Client::welcomed(socket).await);
        }
    }
    (seen, members)
}

#[tokio::test]
async fn other_users_cannot_read_or_write_a_conversation() {
    let mut scene = BystanderRoom::set().await;
    let (near, far) = (&scene.nodes[0], &scene.nodes[1]);
    let eve = User::registered(near, "eve").await;
    let guest = User::guest(near).await;
    let op = operator(near, &scene.redis, "op").await;
    let bearer = format!("Bearer {}", key(&scene.redis, "backend", "publish,read,disconnect").await);
    let program = User::anonymous().with_header("Authorization", &bearer);
    let mut open = Vec::new();
    let names = scene.names().await;
    for (who, person) in [("eve", &eve), ("a guest", &guest), ("an operator", &op), ("a program", &program)] {
        for name in &names {
            let (seen, members) = sees(person, if name.len() % 2 == 0 { near } else { far }, name).await;
            for text in seen {
                assert!(!text.contains(SECRET_TEXT), "{who} reads it as {name:?}: {text}");
            }
            for member in members {
                let text = member.welcome.to_string();
                for user in [scene.at_anns.user(), scene.at_bobs.user()] {
                    let others = member.welcome["members"].to_string();
                    assert!(!others.contains(user), "{who} sees who is there as {name:?}: {text}");
                }
                open.push((who, name.clone(), member));
            }
        }
    }
    // Every socket that was opened receives and sends while the two go on.
    scene.at_bobs.publish("xyzzy-and-more").await;
    for member in [&mut scene.at_anns, &mut scene.at_bobs] {
        assert_eq!(
            member.receive().await["text"],
            "xyzzy-and-more",
            "the first frame that comes from outside"
        );
    }
    for (who, name, member) in &mut open {
        member.send_json(&json!({ "message": "from outside" })).await;
        let quiet = tokio::time::timeout(Duration::from_millis(20), async {
            loop {
                let frame = member.receive_any(&["message", "history", "presence", "typing"], PATIENCE).await;
                assert!(!frame.to_string().contains("xyzzy"), "{who} receives as {name:?}: {frame}");
            }
        });
        quiet.await.expect_err("a loop without an end");
    }
    for member in [&mut scene.at_anns, &mut scene.at_bobs] {
        member.receives_none_of(&["message", "gap"], Duration::from_millis(300)).await;
    }
    let late = scene.ann.handshake("@bob").history(100).connect(far).await;
    assert_eq!(past(late).await, [SECRET_TEXT, "xyzzy-and-more"], "nothing came in from outside");
}

async fn past(mut member: V1Client) -> Vec<String> {
    texts_of(&member.receive_history().await)
}

#[tokio::test]
async fn a_message_id_of_one_room_means_nothing_in_another() {
    let scene = BystanderRoom::set().await;
    let node = &scene.nodes[0];
    let eve = User::registered(node, "eve").await;
    V1Client::join(node, "lobby").await.publish("in the lobby").await;
    eve.join(node, "@bob").await.publish("from eve").await;
    for (ticket, wanted) in [
        (eve.handshake("lobby"), "in the lobby"),
        (Handshake::to_room("lobby"), "in the lobby"),
        (eve.handshake("@bob"), "from eve"),
    ] {
        let mut member = ticket.since(&scene.reported).connect(node).await;
        assert_eq!(
            (&member.welcome["recovered"], &member.welcome["reason"]),
            (&json!(false), &json!("unknown")),
            "{}",
            member.welcome
        );
        member.send_json(&json!({ "type": "history", "before": scene.reported, "limit": 200 })).await;
        let page = member.receive_frame("history").await;
        assert!(!page.to_string().contains(SECRET_TEXT), "{page}");
        assert_eq!(past(member).await, [wanted]);
        let again = Handshake::to_room("lobby").since(&scene.reported).request().send(node).await;
        assert!(!again.body.contains(SECRET_TEXT), "{again:?}");
    }
    // For the two themselves the id is valid.
    let bob = scene.bob.handshake("@ann").since(&scene.reported).connect(&scene.nodes[1]).await;
    assert_eq!(bob.welcome["recovered"], true, "{}", bob.welcome);
}

#[tokio::test]
async fn direct_messages_need_two_accounts() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let own = format!("http://{}", node.address());
    let mut ann = User::registered(&node, "ann").await;
    let id = ann.join(&node, "lobby").await.user().to_owned();
    let mut guest = User::guest(&node).await;
    assert_eq!(guest.post(&node, "/accounts/guest/", &[("nickname", "gus")]).await.status, 303);
    let before = redis.keys("parlor:log:*").await;
    // With oneself, an unknown user, a guest, a key, and by an id.
    for name in ["ann", "nobody", "~gus", "gus", "#key", &id, "*", "a b", "a%2Fb", "..", "%00"] {
        let name = name.replace(['#', '~', '*', ' '], "%7E");
        for target in [format!("/dm/{name}/"), format!("/chat/@{name}/")] {
            let response = ann.get(&node, &target).await;
            assert!(matches!(response.status, 400 | 404), "{target}: {response:?}");
        }
        for path in [format!("/ws/chat/@{name}/"), format!("/ws/push/@{name}"), format!("/sse/chat/@{name}/")]
        {
            let request = Request::upgrade(&path).header("Origin", &own);
            let response = ann.with_cookies(request).send(&node).await;
            assert!(matches!(response.status, 400 | 404), "{path}: {response:?}");
        }
    }
    // Users without an account have no conversations.
    for person in [&guest, &User::anonymous()] {
        for path in ["/ws/chat/@ann/", "/ws/push/@ann", "/ws/inbox/"] {
            let knock = Request::upgrade(path).header("Sec-WebSocket-Protocol", V1).header("Origin", &own);
            let response = person.with_cookies(knock).send(&node).await;
            assert!(matches!(response.status, 403 | 404), "{path}: {response:?}");
        }
        let sent = Request::post("/chat/@ann/messages").body(r#"{"message": "hi"}"#).header("Origin", &own);
        let response = person.with_cookies(sent).send(&node).await;
        assert!(matches!(response.status, 401 | 403 | 404), "{response:?}");
        for target in ["/dm/", "/dm/ann/"] {
            let page =
                person.with_cookies(Request::get(target).header("Accept", "text/html")).send(&node).await;
            assert!(matches!(page.status, 303 | 404), "{target}: {page:?}");
        }
    }
    assert_eq!(redis.keys("parlor:log:*").await, before, "nothing was begun");
}

#[tokio::test]
async fn typing_presence_and_counts_stay_within_the_conversation() {
    let mut scene = BystanderRoom::set().await;
    let person = User::registered(&scene.nodes[0], "eve").await;
    let mut eve = person.join(&scene.nodes[1], "@bob").await;
    let mut inbox = person.handshake_at("/ws/inbox/").connect(&scene.nodes[0]).await;
    scene.at_anns.publish("and more").await;
    // A read mark is stored only for the user's own conversation.
    eve.send_json(&json!({ "type": "read", "id": scene.reported })).await;
    scene.at_anns.send_json(&json!({ "type": "typing" })).await;
    scene.at_bobs.receive_frame("typing").await;
    scene.at_anns.close().await;
    let left = async {
        loop {
            let frame = scene.at_bobs.receive_any(&["presence"], PATIENCE).await;
            if frame["change"] == "leave" {
                return frame;
            }
        }
    };
    let left: Value = within(PATIENCE * 2, "Bob to see Ann leave", left).await;
    assert_eq!(left["name"], "ann");
    eve.receives_none_of(&["typing"], Duration::from_millis(200)).await;
    assert!(
        inbox.take_unread().iter().all(|frame| frame["count"] == 0 || frame["type"] != "unread"),
        "{:?}",
        inbox.welcome
    );
    assert!(eve.take_unread().iter().all(|frame| frame["user"] != left["user"]));
}
