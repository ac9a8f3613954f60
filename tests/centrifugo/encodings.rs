//! The two encodings, and how a client asks for one.

use serde_json::{Value, json};
use tokio_centrifuge::config::Protocol;
use tokio_centrifuge::protocol::{Command, PublishRequest, Reply};

use crate::support::body_stream::BodyStream;
use crate::support::centrifugo::{CentrifugoClient, deployment, token_of};
use crate::support::deployment::LayerKind;
use crate::support::encoded_client::EncodedClient;
use crate::support::http::Request;
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

#[tokio::test]
async fn data_of_several_lines_reach_clients_that_read_lines() {
    const DATA: &str = "{\n  \"list\": [1,\r\n\t2],\r\"text\": \"a\\nb\"\n}";
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let mut socket = CentrifugoClient::connect(node, "ann").await;
    let connect = json!({ "token": token_of("ann") });
    let command = json!({ "id": 1, "connect": connect });
    let mut streams = Vec::new();
    for (transport, first) in
        [("http_stream", &command), ("sse", &command), ("uni_http_stream", &connect), ("uni_sse", &connect)]
    {
        let request = Request::post(&format!("/connection/{transport}")).body(first.to_string());
        let mut stream = BodyStream::open(node, request).await;
        stream.next(|message| message.get("connect").is_some()).await;
        streams.push(stream);
    }
    let mut writer = EncodedClient::connect(node.address(), Protocol::Protobuf, "ann").await;
    let publish = PublishRequest { channel: "#ann".to_owned(), data: DATA.into() };
    assert!(matches!(writer.call(Command::Publish(publish)).await, Reply::Publish(_)));
    let expected: Value = serde_json::from_str(DATA).expect("JSON");
    assert_eq!(socket.push("#ann", "pub").await["data"], expected);
    for stream in &mut streams {
        let of = |message: &Value| message.get("push").unwrap_or(message)["pub"]["data"].clone();
        let message = stream.next(|message| !of(message).is_null()).await;
        assert_eq!(of(&message), expected, "{message}");
    }
    let history = socket.result("history", &json!({ "channel": "#ann", "limit": 1 })).await;
    assert_eq!(history["publications"][0]["data"], expected, "{history}");
    let publication = writer.publication("#ann").await;
    assert_eq!(publication.data, DATA.as_bytes(), "another encoding has them as they came");
}
