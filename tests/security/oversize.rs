//! Oversized cookies, targets and fragments are rejected and do not affect others.

use crate::support::bystander::BystanderRoom;
use crate::support::connection::Connection;
use crate::support::frame::{BINARY, CONTINUATION, Frame, TEXT};
use crate::support::handshake::V1;
use crate::support::http::Request;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::PATIENCE;

/// A request of the site's own page with this `Cookie` header.
fn with_cookies(request: Request, node: &Node, cookies: &str) -> Request {
    request.header("Origin", &format!("http://{}", node.address())).header("Cookie", cookies)
}

#[tokio::test]
async fn cookies_over_the_header_limit_are_rejected() {
    let node = Node::alone().await;
    let large = ["csrftoken=", "parlor_guest=", "parlor_session=", "x="]
        .map(|name| name.to_owned() + &"x".repeat(20_000));
    let many = (0..2000).map(|n| format!("c{n}=0123456")).collect::<Vec<_>>().join("; ");
    for cookies in large.iter().chain([&many]) {
        for request in [
            Request::get("/chat/lobby/"),
            Request::upgrade("/ws/chat/lobby/"),
            Request::post("/push?room=lobby"),
        ] {
            let response = with_cookies(request, &node, cookies).send(&node).await;
            assert_eq!(response.status, 431, "{cookies:.20}…: {response:?}");
        }
    }
    let lines = (0..200)
        .fold(Request::get("/chat/lobby/"), |request, n| request.header("Cookie", &format!("c{n}=1")));
    let response = lines.send(&node).await;
    assert!(matches!(response.status, 200 | 431), "{response:?}");
}

#[tokio::test]
async fn foreign_cookies_are_ignored() {
    let node = Node::alone().await;
    let twice = "parlor_guest=0; ".repeat(300) + "parlor_session=; parlor_session==;;; =; csrftoken";
    let values = [
        "x".repeat(4000),
        String::new(),
        "=".repeat(1000),
        "%00%0d%0a".to_owned(),
        "\"quoted\"".to_owned(),
        "../../etc/passwd".to_owned(),
        "{\"id\": 1}".to_owned(),
        "聊天".to_owned(),
    ];
    let mut cases = vec![twice];
    for value in &values {
        cases.push(format!("parlor_guest={value}; parlor_session={value}; csrftoken={value}"));
    }
    for cookies in cases {
        let page = with_cookies(Request::get("/chat/lobby/"), &node, &cookies).send(&node).await;
        assert_eq!(page.status, 200, "{cookies:.60}: {page:?}");
        assert!(page.cookie("csrftoken").len() < 200, "a new token: {page:?}");
        for value in values.iter().filter(|value| !value.is_empty()) {
            assert!(
                !page.headers.iter().any(|(_, line)| line.contains(value.as_str())),
                "{cookies:.60}: {page:?}"
            );
        }
        let socket = with_cookies(Request::upgrade("/ws/chat/lobby/"), &node, &cookies).send(&node).await;
        assert_eq!(socket.status, 101, "{cookies:.60}: {socket:?}");
    }
}

#[tokio::test]
async fn an_overlong_target_is_rejected() {
    let node = Node::alone().await;
    let long = "x".repeat(70_000);
    for target in [
        format!("/chat/{long}/"),
        format!("/{long}"),
        format!("/push?room={long}"),
        format!("/chat/lobby/?{long}"),
        format!("/static/{long}.js"),
        format!("/chat/{}", "a/".repeat(35_000)),
    ] {
        let response = Request::get(&target).send(&node).await;
        assert!(matches!(response.status, 400 | 414 | 431), "{target:.30}…: {response:?}");
    }
    for target in [format!("/chat/{}/", "%41".repeat(4000)), format!("/push?{}room=a*b", "x=1&".repeat(3000))]
    {
        assert_eq!(Request::get(&target).send(&node).await.status, 400, "{target:.30}…");
    }
}

#[tokio::test]
async fn endless_fragments_close_the_sender_at_the_message_limit() {
    let mut scene = BystanderRoom::start().await;
    for (opcode, size) in [(TEXT, 1), (TEXT, 1000), (BINARY, 1000)] {
        let fragment = Frame::new(CONTINUATION, "x".repeat(size)).unfinished().bytes();
        let endless = [Frame::new(opcode, "x").unfinished().bytes(), fragment.repeat(70_000 / size)].concat();
        scene.expect_close(1009, &format!("fragments of {size} bytes without end"), &endless).await;
        scene.expect_close_at("/ws/push/lobby", 1009, "the same to a push socket", &endless).await;
    }
}

#[tokio::test]
async fn endless_fragments_close_a_v1_sender_too() {
    let mut scene = BystanderRoom::start().await;
    let fragment = Frame::new(CONTINUATION, "x".repeat(1000)).unfinished().bytes();
    let mut connection = Connection::connect(&scene.node).await;
    let request = Request::upgrade("/ws/chat/lobby/").header("Sec-WebSocket-Protocol", V1);
    assert_eq!(request.send_on(&mut connection).await.status, 101);
    connection.send(&[Frame::text("{").unfinished().bytes(), fragment.repeat(300)].concat()).await;
    assert_eq!(connection.close_code().await.0, 1009);
    connection.wait_for_end(PATIENCE).await;
    scene.expect_delivery("fragments without end").await;
}

#[tokio::test]
async fn unfinished_messages_cost_no_more_than_their_limit() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let unfinished = Frame::new(TEXT, "x".repeat(65_000)).unfinished().bytes();
    let mut wires = Vec::new();
    for _ in 0..100 {
        let mut connection = Connection::websocket(&node, "/ws/chat/kitchen/").await;
        connection.send(&unfinished).await;
        wires.push(connection);
    }
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
    assert_eq!(metric(&node, "parlor_sockets").await, 101, "an unfinished message alone is no breach");
    let peak = node.kilobytes("VmHWM");
    assert!(peak < 150 * 1024, "{peak} KB");
}
