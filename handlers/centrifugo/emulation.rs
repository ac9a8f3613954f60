//! Commands of clients that cannot send on their connection: `POST /emulation`, at any node.

use bytes::Bytes;
use parlor::{Refusal, Request, Response, StatusCode};
use prost::Message;
use serde::Deserialize;

/// Commands, and the connection that they are for.
#[derive(Clone, PartialEq, Message, Deserialize)]
struct EmulationRequest {
    #[prost(string, tag = "1")]
    node: String,
    #[prost(string, tag = "2")]
    session: String,
    /// In JSON a text that contains the commands.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(deserialize_with = "from_text")]
    data: Vec<u8>,
}

fn from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(deserializer).map(String::into_bytes)
}

/// Passes commands to the node that has their connection, and does not wait for it: another node
/// answers 204 also for a connection that has ended, as Centrifugo does.
///
/// # Errors
/// Returns 400 for a malformed body, 404 for a node that is not there and for a connection of this
/// node that has ended, and 503.
pub(crate) async fn send(request: Request) -> Result<Response, Refusal> {
    let is_binary = request.header("content-type") == Some("application/octet-stream");
    let body = request.body();
    let message =
        if is_binary { EmulationRequest::decode(body).ok() } else { serde_json::from_slice(body).ok() };
    let EmulationRequest { node, session, data } =
        message.ok_or_else(|| Refusal::bad_request("`body`: expected `node`, `session` and `data`"))?;
    if request.context().send_to_stream(&node, &session, Bytes::from(data)).await? {
        Ok(Response::text(StatusCode::NO_CONTENT, ""))
    } else {
        Err(Refusal::not_found())
    }
}
