//! The opening handshake (RFC 6455, section 4.2): strict where hyper-tungstenite is not.
//!
//! `hyper_tungstenite::upgrade` looks at the key's presence and the version only; all else that the
//! RFC demands is checked here. The socket takes its seat *before* the 101 leaves, so that nothing
//! is missed that is said once the client knows that it is in.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Either;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use hyper_tungstenite::HyperWebsocket;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tracing::debug;

use crate::realtime::consumer::{Consumer, Kind};
use crate::wire::frame::Wire;
use crate::wire::headers::{lists, single};
use crate::wire::origin;
use crate::realtime::registration::Place;
use crate::realtime::reader;
use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::realtime::socket;
use crate::http::connection::Timed;
use crate::telemetry::Chain;

/// How long the 101 may take to leave.
const PATIENCE: Duration = Duration::from_secs(10);

/// A checked handshake: the 101, and the socket that it will lead to.
pub(crate) struct Handshake {
    response: Response,
    websocket: HyperWebsocket,
    /// The subprotocols that the client offers.
    offered: Vec<String>,
}

impl Handshake {
    /// Checks a request on a socket's route.
    ///
    /// # Errors
    /// 400 for a malformed upgrade, 405 and 426 for a request that is none.
    pub(crate) fn check(parts: &mut Parts) -> Result<Self, Refusal> {
        let headers = &parts.headers;
        if !lists(headers, &UPGRADE, "websocket") {
            return Err(if parts.method == Method::GET || parts.method == Method::HEAD {
                Refusal::new(StatusCode::UPGRADE_REQUIRED, "`Upgrade`: expected a WebSocket handshake")
                    .with(UPGRADE, HeaderValue::from_static("websocket"))
                    .with(CONNECTION, HeaderValue::from_static("upgrade"))
            } else {
                Refusal::method(&[Method::GET])
            });
        }
        if parts.method != Method::GET {
            return Err(Refusal::bad_request("`method`: expected GET"));
        }
        if parts.version != Version::HTTP_11 {
            return Err(Refusal::bad_request("`version`: expected HTTP/1.1"));
        }
        if !lists(headers, &CONNECTION, "upgrade") {
            return Err(Refusal::bad_request("`Connection`: expected upgrade"));
        }
        if headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
            return Err(Refusal::bad_request("`body`: expected none"));
        }
        if single(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "`Sec-WebSocket-Version`: expected 13")
                .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
                .with(UPGRADE, HeaderValue::from_static("websocket")));
        }
        if !single(headers, &SEC_WEBSOCKET_KEY).is_some_and(is_key) {
            return Err(Refusal::bad_request("`Sec-WebSocket-Key`: expected 16 bytes in base64, once"));
        }
        // hyper keeps the upgrade in the request's extensions, where the library looks for it.
        let mut request = hyper::Request::new(());
        for name in [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION] {
            request.headers_mut().insert(&name, headers[&name].clone());
        }
        *request.extensions_mut() = std::mem::take(&mut parts.extensions);
        let (response, websocket) = hyper_tungstenite::upgrade(&mut request, Some(reader::unused()))
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        let offers =
            parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
        let offered = offers.flat_map(|line| line.split(',')).map(|name| name.trim().to_owned()).collect();
        let response = Response(response.map(Either::Left));
        Ok(Self { response, websocket, offered })
    }

    /// Whether the client offers to speak this subprotocol.
    pub(crate) fn offers(&self, protocol: &str) -> bool {
        self.offered.iter().any(|offered| offered == protocol)
    }
}

/// Seats the socket, answers 101, and lets the socket live in a task of its own.
///
/// # Errors
/// 403 for a foreign origin, 429 above a limit, 503 without the layer, and whatever the consumer refuses.
pub(crate) async fn open<C: Consumer>(request: Request, handshake: Handshake) -> Result<Response, Refusal> {
    if request.node.is_ending() {
        return Err(Refusal::unavailable("this node ends: another one serves on"));
    }
    let admitted = request.node.limits().admit(request.peer())?;
    let session = C::connect(&request).await?;
    origin::check_socket(request.headers(), &request.node.config().doors.allowed_origins)?;
    let admitted = admitted.of_user(session.identity().known_id())?;
    let node = Arc::clone(&request.node);
    let socket = node.socket(&session, Kind::of::<C>(Wire::Socket));
    let place = Place::take(&socket, session, admitted);
    if let Err(error) = place.heard().await {
        debug!(error = %Chain(&error), "refused a handshake");
        return Err(Refusal::unavailable("the server cannot reach its messages: try again later"));
    }
    let stream = request.stream;
    if place.session().start().is_some() {
        stream.more_follows(); // the welcome
    }
    // Boxed, and gone once it is done: the task lives as long as the socket.
    let upgraded = Box::pin(timeout(PATIENCE, upgraded(handshake.websocket)));
    request.node.track(async move {
        match upgraded.await {
            Ok(Some(early)) => {
                socket::run::<C>(&socket, &place, stream, early).await;
            }
            _ => C::disconnect(place.session()).await,
        }
        drop(place);
    });
    Ok(match C::PROTOCOL {
        Some(protocol) => handshake.response.with(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol)),
        None => handshake.response,
    })
}

/// What the client sent right behind its handshake, once the 101 has left.
async fn upgraded(websocket: HyperWebsocket) -> Option<Box<[u8]>> {
    let upgraded = websocket.await.ok()?.into_inner().into_inner();
    let parts = upgraded.downcast::<TokioIo<Timed>>().ok()?;
    // Copied: it lies in the 8 KB into which hyper read the request.
    Some((*parts.read_buf).into())
}

/// 16 bytes in base64: 21 free characters, one that holds two bits, and the padding.
fn is_key(key: &str) -> bool {
    let key = key.as_bytes();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24
        && key[..21].iter().all(is_digit)
        && matches!(key[21], b'A' | b'Q' | b'g' | b'w')
        && key.ends_with(b"==")
}
