//! The opening handshake (RFC 6455, section 4.2): strict where hyper-tungstenite is not.
//!
//! `hyper_tungstenite::upgrade` checks only the version and that a key is present; the other
//! requirements of the RFC are checked in [`Upgrade`]. The socket is registered *before* the 101 is
//! sent, so that a client receives every event published after it sees the 101.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use hyper_tungstenite::HyperWebsocket;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tracing::debug;

use crate::http::connection::Timed;
use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::http::upgrade::Upgrade;
use crate::realtime::consumer::Consumer;
use crate::realtime::registration::Registration;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket_task;
use crate::realtime::vtable::Kind;
use crate::telemetry::Chain;
use crate::wire::frame::Transport;
use crate::wire::origin;

/// The time in which the 101 must be written.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Registers the socket, answers 101, and runs the socket in a task of its own.
///
/// # Errors
/// Returns 403 for a foreign origin, 429 above a limit, 503 while the layer is unreachable, and the
/// refusals of the consumer.
pub(crate) async fn open<C: Consumer>(
    realtime: Arc<Realtime>,
    request: Request,
    handshake: Upgrade,
) -> Result<Response, Refusal> {
    if request.context.is_ending() {
        return Err(Refusal::unavailable("this node ends: another one serves on"));
    }
    let admitted = request.context.limits().admit(request.peer())?;
    let session = C::connect(&request).await?;
    origin::check_socket(request.headers(), &request.context.config().network.allowed_origins)?;
    let admitted = admitted.of_user(session.identity().known_id())?;
    let socket = realtime.socket(&session, Kind::of::<C>(Transport::WebSocket));
    let place = Registration::take(realtime, &socket, session, admitted);
    if let Err(error) = place.subscribe().await {
        debug!(error = %Chain(&error), "refused a handshake");
        return Err(Refusal::unavailable("the server cannot reach its messages: try again later"));
    }
    let stream = request.stream;
    if place.session().start().is_some() {
        stream.cork(); // the welcome
    }
    // Boxed, and dropped once it is done: the task lives as long as the socket.
    let upgraded = Box::pin(timeout(UPGRADE_TIMEOUT, upgraded(handshake.websocket)));
    request.context.track(async move {
        match upgraded.await {
            Ok(Some(early)) => {
                socket_task::run::<C>(&socket, &place, stream, early).await;
            }
            _ => C::disconnect(place.session()).await,
        }
        drop(place);
    });
    Ok(match C::SUBPROTOCOL {
        Some(protocol) => handshake.response.with(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol)),
        None => handshake.response,
    })
}

/// Returns the bytes that the client sent right behind its handshake, once the 101 is written.
async fn upgraded(websocket: HyperWebsocket) -> Option<Box<[u8]>> {
    let upgraded = websocket.await.ok()?.into_inner().into_inner();
    let parts = upgraded.downcast::<TokioIo<Timed>>().ok()?;
    // Copied, to free the 8 KB into which hyper read the request.
    Some((*parts.read_buf).into())
}
