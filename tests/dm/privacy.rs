//! Listening to a private chat of two others, or speaking in it: nobody can, by no name and by no way.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{key, operator};
use crate::support::client::encoded;
use crate::support::http::Request;
use crate::support::join::{Ticket, V1};
use crate::support::member::{Member, id_of, texts_of};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::Person;
use crate::support::wait::{PATIENCE, within};

/// What Ann tells Bob, and nobody else.
const TOLD: &str = "xyzzy-for-bob-alone";

struct Scene {
    redis: Redis,
    nodes: [Node; 2],
    ann: Person,
    bob: Person,
    /// Their sockets, at a node each.
    at_anns: Member,
    at_bobs: Member,
    /// The id of what was told.
    told: String,
}

impl Scene {
    async fn set() -> Self {
        let redis = Redis::start().await;
        let nodes = Node::several::<2>(&redis).await;
        let bob = Person::named(&nodes[0], "bob").await;
        let ann = Person::named(&nodes[0], "ann").await;
        let mut at_anns = ann.enters(&nodes[0], "@bob").await;
        let mut at_bobs = bob.enters(&nodes[1], "@ann").await;
        at_anns.say(TOLD).await;
        let heard = at_bobs.hear().await;
        assert_eq!(heard["text"], TOLD);
        assert_eq!(at_anns.hear().await, heard);
        Self { redis, nodes, ann, bob, at_anns, at_bobs, told: id_of(&heard) }
    }

    /// Every name that could lead to the chat: what the people are called, and what stands in Redis.
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
                channel.trim_start_matches("asgi__group__").trim_start_matches("parlor:live:").to_owned();
            names.extend([group.trim_start_matches("chat_").to_owned(), group, channel]);
        }
        names
    }
}

/// What this person sees by every way that a room has: each answer's text, and the sockets that were opened.
async fn sees(person: &Person, node: &Node, name: &str) -> (Vec<String>, Vec<Member>) {
    let own = format!("http://{}", node.address());
    let room = encoded(name);
    let said = json!({ "message": "from outside" }).to_string();
    let mut seen = Vec::new();
    for request in [
        Request::get(&format!("/chat/{room}")),
        Request::get(&format!("/chat/{room}/")).header("Accept", "text/html"),
        Request::get(&format!("/dm/{}/", encoded(name.trim_start_matches('@'))))
            .header("Accept", "text/html"),
        Request::get(&format!("/chat/{room}/members/")),
        Request::post(&format!("/chat/{room}/messages")).body(said),
        Request::post(&format!("/push?room={room}")).body(""),
        Request::new("DELETE", &format!("/push?room={room}")),
        Request::get(&format!("/api/rooms/{room}/messages?limit=100")),
        Request::get(&format!("/api/rooms/{room}/members")),
        Request::get(&format!("/api/rooms/{room}")),
    ] {
        let answer = person.with_cookies(request.header("Origin", &own)).send(node).await;
        assert!(answer.status < 500, "{name}: {answer:?}");
        seen.push(answer.body);
    }
    let mut members = Vec::new();
    for path in [format!("/ws/chat/{room}/"), format!("/ws/push/{room}")] {
        let ticket = person.ticket_at(&path).history(100);
        if let Ok(socket) = ticket.try_enter_at(node.address()).await {
            members.push(Member::at(&path, socket).await);
        }
    }
    (seen, members)
}

#[tokio::test]
async fn nobody_else_reads_a_private_chat_or_speaks_in_it() {
    let mut scene = Scene::set().await;
    let (near, far) = (&scene.nodes[0], &scene.nodes[1]);
    let eve = Person::named(near, "eve").await;
    let guest = Person::guest(near).await;
    let op = operator(near, &scene.redis, "op").await;
    let bearer = format!("Bearer {}", key(&scene.redis, "backend", "publish,read,disconnect").await);
    let program = Person::stranger().with_header("Authorization", &bearer);
    let mut open = Vec::new();
    let names = scene.names().await;
    for (who, person) in [("eve", &eve), ("a guest", &guest), ("an operator", &op), ("a program", &program)] {
        for name in &names {
            let (seen, members) = sees(person, if name.len() % 2 == 0 { near } else { far }, name).await;
            for text in seen {
                assert!(!text.contains(TOLD), "{who} reads it as {name:?}: {text}");
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
    // And while they go on, everybody who got in anywhere listens, and speaks.
    scene.at_bobs.say("xyzzy-and-more").await;
    for member in [&mut scene.at_anns, &mut scene.at_bobs] {
        assert_eq!(
            member.hear().await["text"],
            "xyzzy-and-more",
            "the first thing that is heard from outside"
        );
    }
    for (who, name, member) in &mut open {
        member.send_json(&json!({ "message": "from outside" })).await;
        let quiet = tokio::time::timeout(Duration::from_millis(20), async {
            loop {
                let frame = member.next_of(&["message", "history", "presence", "typing"], PATIENCE).await;
                assert!(!frame.to_string().contains("xyzzy"), "{who} hears as {name:?}: {frame}");
            }
        });
        quiet.await.expect_err("a loop without an end");
    }
    for member in [&mut scene.at_anns, &mut scene.at_bobs] {
        member.nothing_of(&["message", "gap"], Duration::from_millis(300)).await;
    }
    let late = scene.ann.ticket("@bob").history(100).enter(far).await;
    assert_eq!(past(late).await, [TOLD, "xyzzy-and-more"], "nothing came in from outside");
}

async fn past(mut member: Member) -> Vec<String> {
    texts_of(&member.past().await)
}

#[tokio::test]
async fn the_place_of_a_message_in_one_room_is_nothing_in_another() {
    let scene = Scene::set().await;
    let node = &scene.nodes[0];
    let eve = Person::named(node, "eve").await;
    Member::join(node, "lobby").await.say("in the lobby").await;
    eve.enters(node, "@bob").await.say("from eve").await;
    for (ticket, wanted) in [
        (eve.ticket("lobby"), "in the lobby"),
        (Ticket::to("lobby"), "in the lobby"),
        (eve.ticket("@bob"), "from eve"),
    ] {
        let mut member = ticket.since(&scene.told).enter(node).await;
        assert_eq!(
            (&member.welcome["recovered"], &member.welcome["reason"]),
            (&json!(false), &json!("unknown")),
            "{}",
            member.welcome
        );
        member.send_json(&json!({ "type": "history", "before": scene.told, "limit": 200 })).await;
        let page = member.frame_of("history").await;
        assert!(!page.to_string().contains(TOLD), "{page}");
        assert_eq!(past(member).await, [wanted]);
        let again = Ticket::to("lobby").since(&scene.told).request().send(node).await;
        assert!(!again.body.contains(TOLD), "{again:?}");
    }
    // For the two themselves it is the place that it is.
    let bob = scene.bob.ticket("@ann").since(&scene.told).enter(&scene.nodes[1]).await;
    assert_eq!(bob.welcome["recovered"], true, "{}", bob.welcome);
}

#[tokio::test]
async fn a_private_chat_has_two_people_with_accounts() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let own = format!("http://{}", node.address());
    let mut ann = Person::named(&node, "ann").await;
    let id = ann.enters(&node, "lobby").await.user().to_owned();
    let mut guest = Person::guest(&node).await;
    assert_eq!(guest.post(&node, "/accounts/guest/", &[("nickname", "gus")]).await.status, 303);
    let before = redis.keys("parlor:log:*").await;
    // With oneself, with nobody, with a guest, with a key, by an id.
    for name in ["ann", "nobody", "~gus", "gus", "#key", &id, "*", "a b", "a%2Fb", "..", "%00"] {
        let name = name.replace(['#', '~', '*', ' '], "%7E");
        for target in [format!("/dm/{name}/"), format!("/chat/@{name}/")] {
            let answer = ann.get(&node, &target).await;
            assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
        }
        for path in [format!("/ws/chat/@{name}/"), format!("/ws/push/@{name}"), format!("/sse/chat/@{name}/")]
        {
            let request = Request::upgrade(&path).header("Origin", &own);
            let answer = ann.with_cookies(request).send(&node).await;
            assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        }
    }
    // Those without an account have none at all.
    for person in [&guest, &Person::stranger()] {
        for path in ["/ws/chat/@ann/", "/ws/push/@ann", "/ws/inbox/"] {
            let knock = Request::upgrade(path).header("Sec-WebSocket-Protocol", V1).header("Origin", &own);
            let answer = person.with_cookies(knock).send(&node).await;
            assert!(matches!(answer.status, 403 | 404), "{path}: {answer:?}");
        }
        let said = Request::post("/chat/@ann/messages").body(r#"{"message": "hi"}"#).header("Origin", &own);
        let answer = person.with_cookies(said).send(&node).await;
        assert!(matches!(answer.status, 401 | 403 | 404), "{answer:?}");
        for target in ["/dm/", "/dm/ann/"] {
            let page =
                person.with_cookies(Request::get(target).header("Accept", "text/html")).send(&node).await;
            assert!(matches!(page.status, 303 | 404), "{target}: {page:?}");
        }
    }
    assert_eq!(redis.keys("parlor:log:*").await, before, "nothing was begun");
}

#[tokio::test]
async fn a_typing_sign_a_presence_and_a_count_stay_between_the_two() {
    let mut scene = Scene::set().await;
    let person = Person::named(&scene.nodes[0], "eve").await;
    let mut eve = person.enters(&scene.nodes[1], "@bob").await;
    let mut inbox = person.ticket_at("/ws/inbox/").enter(&scene.nodes[0]).await;
    scene.at_anns.say("and more").await;
    // What one says one has read stands for one's own chat only.
    eve.send_json(&json!({ "type": "read", "id": scene.told })).await;
    scene.at_anns.send_json(&json!({ "type": "typing" })).await;
    scene.at_bobs.frame_of("typing").await;
    scene.at_anns.leave().await;
    let left = async {
        loop {
            let frame = scene.at_bobs.next_of(&["presence"], PATIENCE).await;
            if frame["change"] == "leave" {
                return frame;
            }
        }
    };
    let left: Value = within(PATIENCE * 2, "Bob to see Ann leave", left).await;
    assert_eq!(left["name"], "ann");
    eve.nothing_of(&["typing"], Duration::from_millis(200)).await;
    assert!(
        inbox.kept().iter().all(|frame| frame["count"] == 0 || frame["type"] != "unread"),
        "{:?}",
        inbox.welcome
    );
    assert!(eve.kept().iter().all(|frame| frame["user"] != left["user"]));
}
