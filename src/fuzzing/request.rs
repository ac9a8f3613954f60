//! Requests: the line and the headers of one, and what is read from them before and by handlers.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use clap::Parser as _;
use hyper::header::{HOST, SEC_WEBSOCKET_KEY};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::headers;
use crate::config::Config;
use crate::handshake::Handshake;
use crate::http::check;
use crate::node::{Application, Node};
use crate::request::Request;
use crate::resume::Start;
use crate::route::Route;
use crate::stream::Stream;

/// A node, and a connection.
static PLACE: LazyLock<(Runtime, Arc<Node>, Stream)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (node, stream) = runtime.block_on(async {
        let application = Application {
            about: "",
            routes: |_| None,
            assets: |_| None,
            languages: &["zh", "en"],
            url: |_, _| None,
        };
        let node = Node::new(Config::parse_from([""]), application).await.expect("memory is there");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let tcp = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        tcp.set_nodelay(true).expect("it is TCP");
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("there is one");
        (node, Stream::new(tcp, permit))
    });
    (runtime, node, stream)
});

/// A request's target, then its headers, one a line.
pub fn request(bytes: &[u8]) {
    let (target, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let Ok(uri) = Uri::try_from(target) else { return };
    let (mut parts, ()) = hyper::Request::new(()).into_parts();
    (parts.uri, parts.headers) = (uri, headers::read(rest));
    is_checked(&mut parts);
    let (_, node, stream) = &*PLACE;
    let (node, stream) = (Arc::clone(node), stream.clone());
    let request = Request { node, stream, parts, name: None, body: Bytes::new() };
    for name in ["since", "history", "name", ""] {
        assert_eq!(request.query(name), query(&request, name), "`{name}` of the query");
    }
    let history = request.query("history").map(|text| text.parse().is_ok_and(|count: usize| count <= 1000));
    assert_eq!(Start::of(&request).is_ok(), history.unwrap_or(true), "`history` of the query");
    assert!(["zh", "en"].contains(&request.language()));
    let _ = (request.wants_page(), request.same_origin(), request.path_after("/static/"));
    request.parts.uri.path().split('/').for_each(is_decoded);
}

/// What HTTP and WebSocket demand.
fn is_checked(parts: &mut Parts) {
    if check(parts).is_ok() {
        let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
        assert!(
            matches!(&hosts[..], [host] if host.as_bytes().iter().all(u8::is_ascii_graphic)),
            "{hosts:?}"
        );
    }
    let method = std::mem::replace(&mut parts.method, Method::GET);
    if Handshake::check(parts).is_ok() {
        let keys: Vec<_> = parts.headers.get_all(SEC_WEBSOCKET_KEY).iter().collect();
        assert!(matches!(&keys[..], [key] if key.len() == 24), "{keys:?}");
    }
    parts.method = method;
}

/// The first value of this name, by hand.
fn query(request: &Request, name: &str) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = request.parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(known, _)| decoded(known) == name).map(|(_, value)| decoded(value))
}

/// A segment of a path is a name, and the name written as a segment is the name again.
fn is_decoded(segment: &str) {
    if let Some(name) = Route::default().at(segment).name {
        let written = utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string();
        assert_eq!(Route::default().at(&written).name, Some(name));
    }
}
