//! The two encodings, and how a client asks for one.

use crate::support::centrifugo::deployment;
use crate::support::deployment::LayerKind;
use crate::support::wait::{PATIENCE, within};
use crate::support::websocket::{Message, WebSocket};

#[tokio::test]
async fn a_client_asks_for_an_encoding_by_subprotocol_or_query() {
    let deployment = deployment(LayerKind::Memory).await;
    for (query, offered, is_protobuf) in [
        ("", None, false),
        ("?format=json", None, false),
        ("", Some("centrifuge-json"), false),
        ("", Some("centrifuge-protobuf"), true),
        ("", Some("chat, centrifuge-protobuf"), true),
        ("?format=protobuf", None, true),
        ("?a=b&cf_protocol=protobuf", None, true),
    ] {
        // The client ends the handshake if it is sent a subprotocol that it does not offer, or none
        // of those that it offers.
        let headers: Vec<_> =
            offered.map(|offered| ("sec-websocket-protocol", offered.to_owned())).into_iter().collect();
        let address = deployment.first().address();
        let socket = WebSocket::connect(address, &format!("/connection/websocket{query}"), &headers).await;
        let mut socket = socket.unwrap_or_else(|error| panic!("{query} {offered:?}: {error}"));
        let connect = if is_protobuf {
            Message::binary(&[4, 8, 1, 0x22, 0][..])
        } else {
            Message::text(r#"{"id":1,"connect":{}}"#)
        };
        socket.send(connect).await;
        let answer = within(PATIENCE, "an answer", socket.next_data()).await;
        let is_as_asked = match &answer {
            Some(Message::Text(text)) => !is_protobuf && text.starts_with(r#"{"id":1,"connect":{"#),
            Some(Message::Binary(bytes)) => is_protobuf && bytes[1..3] == [8, 1],
            _ => false,
        };
        assert!(is_as_asked, "{query} {offered:?}: {answer:?}");
    }
}
