//! Compression is never negotiated, and a compressed frame is a protocol error.

use crate::support::bystander::BystanderRoom;
use crate::support::connection::Connection;
use crate::support::frame::{BINARY, CONTINUATION, Frame, TEXT};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::PATIENCE;

/// A message of a million `x` in a thousand bytes, by permessage-deflate (RFC 7692, section 7.2.1).
fn bomb() -> Vec<u8> {
    let head = b"\xec\xc11\x0d\x00 \x0c\x000+d2p\xc3\xb1pq\xed!!xG\x08mO\xac\xac\x1a3\xa3\xb7\xd8";
    [&head[..], &[0; 968], b"\xc0\xb7\xe2>"].concat()
}

/// Offers (RFC 7692, section 7.1): valid, absurd and malformed ones.
fn offers() -> Vec<String> {
    let absurd = "; server_max_window_bits=15".repeat(300);
    let mut offers = vec![
        format!("permessage-deflate{absurd}"),
        "permessage-deflate, ".repeat(400) + "permessage-deflate",
        format!("permessage-deflate; {}", "x".repeat(8000)),
    ];
    let more = [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=99999999999999999999",
        "permessage-deflate; server_max_window_bits=-1",
        "permessage-deflate; server_max_window_bits=\"15\"",
        "permessage-deflate; client_max_window_bits=0x0f",
        "permessage-deflate; client_no_context_takeover=1; client_no_context_takeover=1",
        "permessage-deflate; =; ;;;",
        "permessage-bzip2, permessage-deflate, x-webkit-deflate-frame, deflate-frame",
        "permessage-compress; method=\"deflate; bits=15\"",
        "PERMESSAGE-DEFLATE",
        ",,,",
        "",
    ];
    offers.extend(more.map(str::to_owned));
    offers
}

/// An open socket whose offer was declined.
async fn offering(node: &Node, path: &str, offer: &str, protocol: Option<&str>) -> Connection {
    let mut connection = Connection::connect(node).await;
    let request = Request::upgrade(path).header("Sec-WebSocket-Extensions", offer);
    let request =
        protocol.iter().fold(request, |request, name| request.header("Sec-WebSocket-Protocol", name));
    let response = request.send_on(&mut connection).await;
    assert_eq!(response.status, 101, "{offer:.80}: {response:?}");
    assert_eq!(response.header("sec-websocket-extensions"), None, "{offer:.80}");
    connection
}

#[tokio::test]
async fn offers_of_compression_are_declined() {
    let node = Node::alone().await;
    for offer in offers() {
        for path in ["/ws/chat/lobby/", "/ws/push/lobby"] {
            drop(offering(&node, path, &offer, None).await);
        }
    }
    let twice = Request::upgrade("/ws/chat/lobby/")
        .header("Sec-WebSocket-Extensions", "permessage-deflate")
        .header("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");
    let response = twice.send(&node).await;
    assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, None), "{response:?}");
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
}

#[tokio::test]
async fn a_compressed_frame_closes_the_sender_with_1002() {
    let mut scene = BystanderRoom::start().await;
    let frames = [
        Frame::new(TEXT, bomb()).reserved(4).bytes(),
        Frame::new(BINARY, bomb()).reserved(4).bytes(),
        Frame::new(TEXT, "").reserved(4).bytes(),
        Frame::new(TEXT, bomb()).reserved(4).unfinished().bytes(),
        [Frame::text("{").unfinished().bytes(), Frame::new(CONTINUATION, bomb()).reserved(4).bytes()]
            .concat(),
    ];
    for (path, protocol) in
        [("/ws/chat/lobby/", None), ("/ws/chat/lobby/", Some("parlor.v1")), ("/ws/push/lobby", None)]
    {
        for frame in &frames {
            let mut sender = offering(&scene.node, path, "permessage-deflate", protocol).await;
            sender.send(frame).await;
            assert_eq!(sender.close_code().await.0, 1002, "{path} {protocol:?}");
            sender.wait_for_end(PATIENCE).await;
            scene.expect_delivery("a compressed frame").await;
        }
    }
}

#[tokio::test]
async fn no_response_is_compressed() {
    let node = Node::alone().await;
    for target in ["/chat/", "/chat/lobby/", "/static/room.js", "/metrics"] {
        let response = Request::get(target).header("Accept-Encoding", "gzip, br, deflate").send(&node).await;
        assert_eq!((response.status, response.header("content-encoding")), (200, None), "{target}");
    }
    // Bytes that would inflate to a message are invalid as they are.
    let request = Request::post("/chat/lobby/messages").header("Content-Encoding", "deflate").body(bomb());
    assert_eq!(request.send(&node).await.status, 400);
}
