//! The opening handshake (RFC 6455, section 4.2): strict where hyper-tungstenite is not.

use http_body_util::Either;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use hyper_tungstenite::HyperWebsocket;
use tungstenite::protocol::WebSocketConfig;

use crate::http::response::{Refusal, Response};
use crate::wire::headers::{lists, single};

/// A checked handshake: the 101, and the socket that follows it.
pub(crate) struct Upgrade {
    pub(crate) response: Response,
    pub(crate) websocket: HyperWebsocket,
    /// The subprotocols that the client offers.
    offered: Vec<String>,
}

impl Upgrade {
    /// Checks a request on a socket's route.
    ///
    /// # Errors
    /// Returns 400 for a malformed upgrade, 405 and 426 for a request that is not an upgrade.
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
        let is_chunked = headers.contains_key(TRANSFER_ENCODING);
        if is_chunked || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
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
        let (response, websocket) = hyper_tungstenite::upgrade(&mut request, Some(unused()))
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        let offers =
            parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
        let offered = offers.flat_map(|line| line.split(',')).map(|name| name.trim().to_owned()).collect();
        let response = Response(response.map(Either::Left));
        Ok(Self { response, websocket, offered })
    }

    /// Returns whether the client offers this subprotocol.
    pub(crate) fn offers(&self, protocol: &str) -> bool {
        self.offered.iter().any(|offered| offered == protocol)
    }
}

/// The settings of hyper-tungstenite's own socket, which is unwrapped before it reads. Prevents its
/// default allocation of 128 KiB.
pub(crate) fn unused() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(0)
}

/// Returns whether the key is 16 bytes in base64: 21 characters, one that holds two bits, and the
/// padding.
fn is_key(key: &str) -> bool {
    let key = key.as_bytes();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24
        && key[..21].iter().all(is_digit)
        && matches!(key[21], b'A' | b'Q' | b'g' | b'w')
        && key.ends_with(b"==")
}
