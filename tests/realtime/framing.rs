//! RFC 6455 framing: a protocol error closes the sender with the RFC's code and no other socket.

use serde_json::json;

use crate::support::bystander::BystanderRoom;
use crate::support::connection::Connection;
use crate::support::frame::{CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, head};
use crate::support::metrics::wait_for_metric;
use crate::support::node::Node;
use crate::support::wait::PATIENCE;

#[tokio::test]
async fn a_frame_header_over_the_limit_is_rejected_before_its_payload() {
    let mut scene = BystanderRoom::start().await;
    for length in [70 * 1024, 1 << 32, (1 << 63) - 1] {
        let bytes = [head(true, 0, TEXT, true, length), vec![1, 2, 3, 4], b"some".to_vec()].concat();
        scene.expect_close(1009, &format!("a head that announces {length} bytes"), &bytes).await;
    }
}

#[tokio::test]
async fn protocol_errors_close_the_sender_with_1002() {
    let mut scene = BystanderRoom::start().await;
    let hi = r#"{"message": "hi"}"#;
    let cases: [(&str, Vec<u8>); 16] = [
        ("an unmasked frame", Frame::text(hi).unmasked().bytes()),
        ("reserved opcode 3", Frame::new(3, hi).bytes()),
        ("reserved opcode 7", Frame::new(7, hi).bytes()),
        ("reserved control opcode 11", Frame::new(0xB, "").bytes()),
        ("reserved control opcode 15", Frame::new(0xF, "").bytes()),
        ("reserved bit 1", Frame::text(hi).reserved(4).bytes()),
        ("reserved bit 2", Frame::text(hi).reserved(2).bytes()),
        ("reserved bit 3", Frame::text(hi).reserved(1).bytes()),
        ("a fragmented ping", Frame::new(PING, "").unfinished().bytes()),
        ("a fragmented close", Frame::close(1000, b"").unfinished().bytes()),
        ("a ping of 126 bytes", Frame::new(PING, "x".repeat(126)).bytes()),
        ("a continuation of nothing", Frame::new(CONTINUATION, hi).bytes()),
        ("a text within a text", [Frame::text("{").unfinished().bytes(), Frame::text(hi).bytes()].concat()),
        ("a close of one byte", Frame::new(CLOSE, [3]).bytes()),
        ("a close with the reserved code 1005", Frame::close(1005, b"").bytes()),
        ("a close with code 999", Frame::close(999, b"").bytes()),
    ];
    for (what, bytes) in cases {
        scene.expect_close(1002, what, &bytes).await;
    }
}

#[tokio::test]
async fn invalid_utf8_closes_the_sender_with_1007() {
    let mut scene = BystanderRoom::start().await;
    scene.expect_close(1007, "bad UTF-8", &Frame::new(TEXT, b"{\"message\": \"\xff\"}").bytes()).await;
    scene
        .expect_close(
            1007,
            "a surrogate in UTF-8",
            &Frame::new(TEXT, b"{\"message\": \"\xed\xa0\x80\"}").bytes(),
        )
        .await;
    scene.expect_close(1007, "UTF-8 cut at the end", &Frame::new(TEXT, b"\xe8\x81").bytes()).await;
    let parts = [Frame::new(TEXT, b"{\"message\": \"\xe8").unfinished(), Frame::new(CONTINUATION, b"(\"}")];
    scene.expect_close(1007, "bad UTF-8 over two frames", &parts.map(|part| part.bytes()).concat()).await;
    scene.expect_close(1007, "a close reason in bad UTF-8", &Frame::close(1000, b"\xff").bytes()).await;
    scene
        .expect_close_at(
            "/ws/push/lobby",
            1007,
            "bad UTF-8 on a push socket",
            &Frame::new(TEXT, b"\xff").bytes(),
        )
        .await;
}

#[tokio::test]
async fn a_character_split_over_two_frames_is_one_character() {
    let node = Node::alone().await;
    let mut connection = Connection::websocket(&node, "/ws/chat/lobby/").await;
    let bytes = "{\"message\": \"聊\"}".as_bytes();
    let (first, second) = bytes.split_at(14);
    assert!(std::str::from_utf8(first).is_err(), "the cut is within the character");
    connection.send_frame(&Frame::new(TEXT, first).unfinished()).await;
    // A control frame may stand between the fragments of a message.
    connection.send_frame(&Frame::new(PING, "between")).await;
    connection.send_frame(&Frame::new(CONTINUATION, second)).await;
    assert_eq!(connection.frame_with_opcode(PONG, PATIENCE).await.payload, b"between");
    let received: serde_json::Value =
        serde_json::from_slice(&connection.frame_with_opcode(TEXT, PATIENCE).await.payload).unwrap();
    assert_eq!(received, json!({ "message": "[收到消息] 聊" }));
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let node = Node::alone().await;
    let mut connection = Connection::websocket(&node, "/ws/push/lobby").await;
    for payload in [&b""[..], b"hi", &[0xff; 125]] {
        connection.send_frame(&Frame::new(PING, payload)).await;
        let pong = connection.frame_with_opcode(PONG, PATIENCE).await;
        assert_eq!(pong.payload, payload);
        assert!(pong.fin && pong.reserved == 0);
    }
    // An unsolicited pong is allowed and has no effect (RFC 6455 section 5.5.3).
    connection.send_frame(&Frame::new(PONG, "what?")).await;
    connection.send_frame(&Frame::new(PING, "still here")).await;
    assert_eq!(connection.frame_with_opcode(PONG, PATIENCE).await.payload, b"still here");
}

#[tokio::test]
async fn a_close_frame_is_answered_and_ends_the_connection() {
    let mut scene = BystanderRoom::start().await;
    for (code, reason) in [(1000, "bye"), (1001, ""), (3000, "x"), (4999, "聊")] {
        let mut connection = Connection::websocket(&scene.node, "/ws/chat/lobby/").await;
        connection.send_frame(&Frame::close(code, reason.as_bytes())).await;
        assert_eq!(connection.close_code().await.0, code);
        connection.wait_for_end(PATIENCE).await;
        scene.expect_delivery("an orderly close").await;
    }
    let mut connection = Connection::websocket(&scene.node, "/ws/chat/lobby/").await;
    connection.send_frame(&Frame::new(CLOSE, "")).await;
    let (code, _) = connection.close_code().await;
    assert!(matches!(code, 1000 | 1005), "{code} in answer to a Close frame without a code");
    connection.wait_for_end(PATIENCE).await;
}

#[tokio::test]
async fn a_reset_connection_does_not_affect_the_others() {
    let mut scene = BystanderRoom::start().await;
    let hi = Frame::text(r#"{"message": "hi"}"#).bytes();
    for length in [0, 1, 5, hi.len() - 1] {
        let mut connection = Connection::websocket(&scene.node, "/ws/chat/lobby/").await;
        connection.send(&hi[..length]).await;
        drop(connection);
        scene.expect_delivery(&format!("a connection that broke off after {length} bytes")).await;
    }
    wait_for_metric(&scene.node, "parlor_sockets", 1).await;
}
