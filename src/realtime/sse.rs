//! Server-Sent Events (WHATWG HTML, section 9.2): a consumer's group for clients without WebSocket.
//!
//! A stream is registered in the hub like a socket. Its frames are the body of a response, which
//! hyper takes from the outbox as fast as the client reads.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame as Part;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use tracing::debug;

use crate::http::context::Context;
use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::realtime::catch_up::CatchUp;
use crate::realtime::consumer::Consumer;
use crate::realtime::registration::Registration;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::socket_task::log_unreadable;
use crate::realtime::vtable::Kind;
use crate::telemetry::{Chain, METRICS};
use crate::wire::close::Close;
use crate::wire::frame::Transport;
use crate::wire::origin;

/// The state of a response body while it is streamed.
struct SseBody<C: Consumer> {
    node: Arc<Context>,
    socket: Arc<Socket>,
    place: Option<Registration>,
    resume: Option<CatchUp>,
    consumer: std::marker::PhantomData<C>,
}

/// Opens a stream of Server-Sent Events.
///
/// # Errors
/// Returns 403 for a foreign origin, 429 above a limit, 503 while the layer is unreachable, and the
/// refusals of the consumer.
pub(crate) async fn open<C: Consumer>(
    realtime: Arc<Realtime>,
    request: Request,
) -> Result<Response, Refusal> {
    if request.context.is_ending() {
        return Err(Refusal::unavailable("this node ends: another one serves on"));
    }
    let admitted = request.context.limits().admit(request.peer())?;
    let session = C::connect(&request).await?;
    origin::check_request(request.headers(), &request.context.config().network.allowed_origins)?;
    let admitted = admitted.of_user(session.identity().known_id())?;
    let node = Arc::clone(&request.context);
    let kind = Kind::of::<C>(Transport::Sse);
    let socket = realtime.socket(&session, kind);
    let resume = CatchUp::of(&session, kind);
    let place = Registration::take(realtime, &socket, session, admitted);
    if let Err(error) = place.subscribe().await {
        debug!(error = %Chain(&error), "refused a feed");
        return Err(Refusal::unavailable("the server cannot reach its messages: try again later"));
    }
    let feed = SseBody::<C> { node, socket, place: Some(place), resume, consumer: std::marker::PhantomData };
    let parts = stream::unfold(feed, async |mut feed| {
        let frames = feed.next().await?;
        Some((Ok::<_, Infallible>(Part::data(frames)), feed))
    });
    let body = StreamBody::new(parts).boxed_unsync();
    Ok(Response::stream("text/event-stream; charset=utf-8", body)
        .with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        // Stops nginx from buffering the response.
        .with(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")))
}

impl<C: Consumer> SseBody<C> {
    /// Returns the next frames of the body; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while let (Some(resume), Some(place), None) =
            (&mut self.resume, &self.place, self.socket.outbox().closed())
        {
            match resume.next::<C>(place).await {
                Ok(Some(frames)) if frames.is_empty() => {}
                Ok(Some(frames)) => return Some(frames),
                Ok(None) => self.resume = None,
                Err(error) => {
                    debug!(error = %Chain(&error), "could not read what a feed missed");
                    self.resume = None;
                    self.socket.close(&log_unreadable(&error));
                }
            }
        }
        self.socket.outbox().take().await
    }
}

impl<C: Consumer> Drop for SseBody<C> {
    fn drop(&mut self) {
        METRICS.closed(self.socket.outbox().closed().unwrap_or(Close::ABNORMAL), false);
        let Some(place) = self.place.take() else { return };
        self.node.track(async move { C::disconnect(place.session()).await });
    }
}
