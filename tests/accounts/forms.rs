//! The forms for accounts: signing up, logging in and out, nicknames, tickets.

use serde_json::json;

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::{Handshake, V1};
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::{SESSION, User, password};
use crate::support::wait::seconds;

/// The texts beside the field or the button.
fn notice(response: &Response) -> &str {
    let rest =
        response.body.split("role=\"alert\">").find(|rest| !rest.starts_with('<') && !rest.starts_with('\n'));
    rest.and_then(|rest| rest.split('<').next()).unwrap_or_else(|| panic!("no notice: {}", response.body))
}

async fn a_session_is_valid_on_every_node_until_log_out(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = User::registered(deployment.first(), "安娜").await;
    let before = ann.join(deployment.first(), "lobby").await;
    assert_eq!(before.welcome["name"], "安娜");
    let mut elsewhere = User::logged_in(deployment.last(), "安娜").await;
    let mut there = elsewhere.join(deployment.last(), "lobby").await;
    assert_eq!((there.user(), &there.welcome["name"]), (before.user(), &json!("安娜")));
    there.publish("hi").await;
    let received = there.receive().await;
    assert_eq!((&received["user"], &received["name"]), (&json!(before.user()), &json!("安娜")));

    let page = ann.get(deployment.last(), "/chat/").await;
    assert!(page.body.contains("安娜") && page.body.contains("/accounts/logout/"), "{}", page.body);
    let session = ann.cookie(SESSION).expect("a login").to_owned();
    let response = elsewhere.log_out(deployment.first()).await;
    assert_eq!((response.status, response.header("location")), (303, Some("/chat/")));
    assert_eq!(elsewhere.cookie(SESSION), None, "the browser forgets it");
    assert_eq!(there.closed(seconds(2)).await.0, 4401);
    // The other browser has another session.
    let still = ann.get(deployment.last(), "/dm/").await;
    assert_eq!(still.status, 200, "{still:?}");
    let mut before = before;
    before.publish("still here").await;

    ann.log_out(deployment.last()).await;
    assert_eq!(before.closed(seconds(2)).await.0, 4401);
    let mut thief = User::anonymous();
    thief.set_cookie(SESSION, &session);
    assert_eq!(thief.get(deployment.first(), "/dm/").await.status, 303, "an ended session is invalid");
}

async fn a_wrong_password_and_an_unknown_name_have_one_error(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    User::registered(deployment.first(), "ann").await;
    let mut person = User::anonymous();
    let mut reported = Vec::new();
    for (name, password) in
        [("ann", "not the password"), ("nobody", "not the password"), ("a b", "x"), ("", "")]
    {
        let fields = [("name", name), ("password", password), ("next", "/chat/lobby/")];
        let response = person.post(deployment.last(), "/accounts/login/", &fields).await;
        assert_eq!((response.status, response.content_type()), (403, "text/html"), "{response:?}");
        assert!(response.body.contains("id=\"login-form\""), "the form again: {}", response.body);
        assert!(response.body.contains("value=\"&#x2f;chat&#x2f;lobby&#x2f;\""), "{}", response.body);
        assert_eq!(person.cookie(SESSION), None);
        reported.push(notice(&response).to_owned());
    }
    reported.dedup();
    assert_eq!(reported.len(), 1, "{reported:?}");
}

async fn a_rejected_sign_up_names_the_mistake(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    User::registered(deployment.first(), "alice").await;
    let good = password("x");
    for (name, password, status) in [
        ("alice", &*good, 409),
        ("ALICE", &good, 409),
        ("\u{430}lice", &good, 409),
        ("aIice", &good, 409),
        ("a b", &good, 400),
        ("~bob", &good, 400),
        ("#bob", &good, 400),
        ("bob\u{202e}", &good, 400),
        ("\u{2066}bob", &good, 400),
        ("bo\u{200f}b", &good, 400),
        ("", &good, 400),
        (&"x".repeat(33), &good, 400),
        ("bob", "sho-rt1", 400),
        ("bob-bob-bob", "bob-bob-bob", 400),
        ("bob", &"x".repeat(129), 400),
    ] {
        let mut person = User::anonymous();
        let response = person
            .post(deployment.last(), "/accounts/signup/", &[("name", name), ("password", password)])
            .await;
        assert_eq!(
            (response.status, response.content_type()),
            (status, "text/html"),
            "{name:?}: {response:?}"
        );
        assert!(
            response.body.contains("id=\"signup-form\"") && !notice(&response).is_empty(),
            "{}",
            response.body
        );
        assert!(!response.body.contains(password) || password == name, "a password is never shown again");
        assert_eq!(person.cookie(SESSION), None);
    }
}

async fn a_guest_has_a_unique_nickname(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    User::registered(deployment.first(), "alice").await;
    let (mut bob, mut eve) = (User::guest(deployment.first()).await, User::guest(deployment.last()).await);
    let mut socket = bob.join(deployment.first(), "lobby").await;
    let unnamed = socket.welcome["name"].clone();
    assert_eq!(unnamed, json!(format!("~{}", &socket.user()[..8])));
    // Typed before it, a nickname would become another one.
    let page = bob.get(deployment.first(), "/accounts/guest/").await.body;
    assert!(!page.contains(&format!(r#"value="{}""#, &socket.user()[..8])), "{page}");
    let call = [("nickname", "bob"), ("next", "/chat/lobby/")];
    let response = bob.post(deployment.last(), "/accounts/guest/", &call).await;
    assert_eq!((response.status, response.header("location")), (303, Some("/chat/lobby/")), "{response:?}");
    assert_eq!(socket.closed(seconds(2)).await.0, 1012, "it comes back under its new name");
    let renamed = bob.join(deployment.last(), "lobby").await;
    assert_eq!((renamed.user(), &renamed.welcome["name"]), (socket.user(), &json!("~bob")));
    let page = bob.get(deployment.first(), "/accounts/guest/").await.body;
    assert!(page.contains(r#"value="bob""#), "{page}");
    let before = bob.cookie("parlor_guest").expect("a cookie").to_owned();
    for (nickname, status) in
        [("bob", 409), ("B\u{43e}b", 409), ("alice", 409), ("a b", 400), ("\u{202e}x", 400)]
    {
        let response = eve.post(deployment.first(), "/accounts/guest/", &[("nickname", nickname)]).await;
        assert_eq!(
            (response.status, response.content_type()),
            (status, "text/html"),
            "{nickname:?}: {response:?}"
        );
    }
    assert_eq!(bob.post(deployment.first(), "/accounts/guest/", &[("nickname", "")]).await.status, 303);
    assert_eq!(bob.join(deployment.last(), "lobby").await.welcome["name"], unnamed);
    assert_eq!(eve.post(deployment.last(), "/accounts/guest/", &[("nickname", "bob")]).await.status, 303);
    for nickname in ["deadbeef", "deadb\u{435}ef", "l2345678", "O2345678"] {
        let response = bob.post(deployment.first(), "/accounts/guest/", &[("nickname", nickname)]).await;
        assert_eq!(response.status, 409, "{nickname} looks like a guest without a nickname");
    }
    bob.set_cookie("parlor_guest", &before);
    let back = bob.join(deployment.first(), "lobby").await;
    assert_eq!(
        (back.user(), &back.welcome["name"]),
        (socket.user(), &unnamed),
        "the name is another's by now"
    );
    let mut ann = User::logged_in(deployment.first(), "alice").await;
    assert_eq!(ann.get(deployment.first(), "/accounts/guest/").await.status, 404, "an account has its name");
}

async fn a_ticket_opens_one_socket_as_its_account(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = User::registered(deployment.first(), "ann").await;
    let token = ann.token(deployment.first()).await;
    let origin = format!("http://{}", deployment.first().address());
    let request = Request::post("/api/tickets").header("Origin", &origin).body("");
    let response = ann.send(deployment.first(), request.clone().header("X-CSRFToken", &token)).await;
    assert_eq!((response.status, &response.json()["expires_in"]), (201, &json!(30)), "{response:?}");
    let ticket = response.json()["ticket"].as_str().expect("a ticket").to_owned();
    let entering = Handshake::to_room("lobby").query(&format!("ticket={ticket}"));
    assert_eq!(entering.connect(deployment.last()).await.welcome["name"], "ann");
    let again = entering.request().header("Sec-WebSocket-Protocol", V1).send(deployment.first()).await;
    assert_eq!(again.status, 403, "a ticket is for once: {again:?}");
    assert_eq!(ann.send(deployment.first(), request).await.status, 403, "without the CSRF token");
    let mut guest = User::guest(deployment.first()).await;
    let token = guest.token(deployment.first()).await;
    let asking =
        Request::post("/api/tickets").header("Origin", &origin).header("X-CSRFToken", &token).body("");
    assert_eq!(guest.send(deployment.first(), asking).await.status, 401, "guests have no tickets");
}

on_every_layer! {
    a_session_is_valid_on_every_node_until_log_out
    a_wrong_password_and_an_unknown_name_have_one_error
    a_rejected_sign_up_names_the_mistake
    a_guest_has_a_unique_nickname
    a_ticket_opens_one_socket_as_its_account
}

#[tokio::test]
async fn without_sign_up_its_page_does_not_exist() {
    let node = Node::plan().switch("--no-signup").start().await;
    let mut person = User::anonymous();
    assert_eq!(person.get(&node, "/accounts/signup/").await.status, 404);
    assert_eq!(person.sign_up(&node, "ann").await.status, 404);
    let login = person.get(&node, "/accounts/login/").await;
    assert!(login.status == 200 && !login.body.contains("/accounts/signup/\""), "{}", login.body);
}

#[tokio::test]
async fn without_guests_rooms_require_an_account() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).switch("--no-guests").start().await;
    for mut person in [User::anonymous(), {
        let mut guest = User::anonymous();
        let cookie = crate::support::handshake::guest_cookie(1);
        let (name, value) = cookie.split_once('=').expect("a cookie");
        guest.set_cookie(name, value);
        guest
    }] {
        let page = person.get(&node, "/chat/lobby/").await;
        let wanted = "/accounts/login/?next=%2Fchat%2Flobby%2F";
        assert_eq!((page.status, page.header("location")), (303, Some(wanted)), "{page:?}");
        for path in ["/ws/chat/lobby/", "/ws/push/lobby"] {
            assert_eq!(person.open_socket(&node, path).await.0.status, 403, "{path}");
        }
        let origin = format!("http://{}", node.address());
        for request in [
            Request::get("/sse/chat/lobby/"),
            Request::post("/chat/lobby/messages").body(r#"{"message": "hi"}"#),
            Request::post("/push?room=lobby").body(""),
        ] {
            let response = person.send(&node, request.header("Origin", &origin)).await;
            assert_eq!(response.status, 401, "{response:?}");
        }
        assert_eq!(person.get(&node, "/accounts/guest/").await.status, 404);
    }
    let ann = User::registered(&node, "ann").await;
    assert_eq!(ann.join(&node, "lobby").await.welcome["name"], "ann");
}

#[tokio::test]
async fn too_many_log_in_attempts_are_rejected_for_a_while() {
    let node =
        Node::plan().without_env("PARLOR_LOGINS_PER_MINUTE").flag("--logins-per-minute", "5").start().await;
    let mut person = User::registered(&node, "ann").await;
    let mut seen = Vec::new();
    for _ in 0..7 {
        let response =
            person.post(&node, "/accounts/login/", &[("name", "ann"), ("password", "wrong")]).await;
        assert!(response.status != 429 || response.header("retry-after").is_some(), "{response:?}");
        seen.push(response.status);
    }
    // The sign-up was the first of five attempts.
    assert_eq!(seen, [403, 403, 403, 403, 429, 429, 429]);
}
