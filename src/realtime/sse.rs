//! Server-Sent Events (WHATWG HTML, section 9.2): the transport for clients without WebSocket.
//!
//! A stream is registered in the hub like a socket. Its frames are the body of a response, which
//! hyper takes from the outbox as fast as the client reads.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame as Part;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use tracing::debug;

use crate::http::connection::Connection;
use crate::http::response::Response;
use crate::limits::Admitted;
use crate::realtime::catch_up::{CatchUp, log_unreadable};
use crate::realtime::registration::{Registration, SocketRegistration};
use crate::telemetry::{Chain, METRICS};
use crate::wire::close::Close;
use crate::wire::frame;

/// How long a browser waits at least before it connects again after the end of a stream.
const RETRY_TIME: Duration = Duration::from_secs(1);

/// The state of a response body while it is streamed.
struct SseBody {
    registration: Registration,
    _registered: SocketRegistration,
    _admitted: Admitted,
    stream: Connection,
    catch_up: Option<Box<CatchUp>>,
    /// Written before the first frames.
    retry: Option<String>,
}

/// Returns the response that streams the events of a registered socket.
pub(crate) fn respond(
    registered: SocketRegistration,
    registration: Registration,
    catch_up: Option<Box<CatchUp>>,
    admitted: Admitted,
    stream: Connection,
) -> Response {
    let body = SseBody {
        registration,
        _registered: registered,
        _admitted: admitted,
        stream,
        catch_up,
        retry: Some(frame::retry(RETRY_TIME)),
    };
    let parts = stream::unfold(body, async |mut body| {
        let mut frames = body.next().await?;
        if let Some(retry) = body.retry.take() {
            frames = [retry.as_bytes(), &frames].concat().into();
        }
        Some((Ok::<_, Infallible>(Part::data(frames)), body))
    });
    let body = StreamBody::new(parts).boxed_unsync();
    Response::stream("text/event-stream; charset=utf-8", body)
        .with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        // Stops nginx from buffering the response.
        .with(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))
}

impl SseBody {
    /// Returns the next frames of the body; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let socket = self.registration.socket();
        while let (Some(catch_up), None) = (&mut self.catch_up, socket.outbox().closed()) {
            // It was listed when it was admitted.
            match catch_up.next(&self.registration, ready(Ok(()))).await {
                Ok(Some(frames)) if frames.is_empty() => {}
                Ok(Some(frames)) => return Some(frames),
                Ok(None) => self.catch_up = None,
                Err(error) => {
                    let group = self.registration.group();
                    debug!(%group, error = %Chain(&error), "could not read what an event stream missed");
                    self.catch_up = None;
                    socket.close(&log_unreadable(&error));
                }
            }
        }
        tokio::select! {
            frames = socket.outbox().take() => frames,
            // hyper does not look at the client's side of the connection meanwhile.
            () = self.stream.ended() => None,
        }
    }
}

impl Drop for SseBody {
    fn drop(&mut self) {
        METRICS.closed(self.registration.socket().outbox().closed().unwrap_or(Close::ABNORMAL), false);
    }
}
