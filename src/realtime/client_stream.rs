//! A connection without a socket: its frames are the body of a response, and its client's messages
//! come by further requests.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame as Part;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use crate::http::client_streams::ClientMessages;
use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::http::response::Response;
use crate::limits::{Admitted, MessageRateLimiter, RateDecision};
use crate::realtime::instructed;
use crate::realtime::joined::Joined;
use crate::realtime::protocol::Protocol;
use crate::realtime::socket_task;
use crate::realtime::socket_task::{Charge, Next, Written};
use crate::realtime::streams::Streams;
use crate::telemetry::METRICS;
use crate::wire::close::{Close, CloseCode};
use crate::wire::frame::{Frame, Transport};

/// Charges the limits of a client by its messages.
struct MessageCharge<'a> {
    limiter: Option<Box<MessageRateLimiter>>,
    admitted: &'a Admitted,
    bytes: u32,
}

impl Charge for MessageCharge<'_> {
    fn message(&mut self) -> RateDecision {
        let frame = self.limiter.as_deref().map_or(RateDecision::Fine, MessageRateLimiter::frame);
        let bytes = self.limiter.as_deref().map_or(RateDecision::Fine, |limiter| limiter.bytes(self.bytes));
        let address =
            if self.admitted.message(self.bytes) { RateDecision::Fine } else { RateDecision::TooFast };
        frame.max(bytes).max(address)
    }

    fn request(&mut self) -> RateDecision {
        self.bytes = 0;
        self.message()
    }
}

/// Returns the response that streams a connection whose first message is `first`. `messages` has
/// those that follow, and ends when the client sends too much.
pub(crate) fn respond<P: Protocol, S: Streams>(
    joined: Joined,
    id: String,
    first: Bytes,
    messages: ClientMessages,
    connection: Connection,
) -> Response {
    // One part waits while hyper writes another.
    let (parts, body) = mpsc::channel(1);
    let context = Arc::clone(joined.context());
    context.track(async move {
        tokio::select! {
            () = run::<P, S>(&joined, first, messages, &parts) => {}
            // hyper does not look at the client's side of the connection meanwhile.
            () = connection.ended() => {}
        }
        joined.context().client_streams().close(&id);
        METRICS.closed(joined.socket().outbox().closed().unwrap_or(Close::ABNORMAL), false);
    });
    let parts = stream::unfold(body, async |mut body| {
        let part = body.recv().await?;
        Some((Ok::<_, Infallible>(Part::data(part)), body))
    });
    let content_type = match P::TRANSPORT {
        Transport::Sse => "text/event-stream; charset=utf-8",
        Transport::WebSocket | Transport::Body => "application/octet-stream",
    };
    Response::stream(content_type, StreamBody::new(parts).boxed_unsync())
        .with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        // Stops nginx from buffering the response.
        .with(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))
}

/// Acts on the client's messages and passes on what it receives, until either side ends.
async fn run<P: Protocol, S: Streams>(
    joined: &Joined,
    first: Bytes,
    mut messages: ClientMessages,
    parts: &mpsc::Sender<Bytes>,
) {
    let (context, outbox) = (joined.context(), joined.socket().outbox());
    let limiter = context.limits().message_limiter(P::max_frame_bytes(context.config()));
    let mut limits = MessageCharge { limiter, admitted: joined.admitted(), bytes: 0 };
    if P::TRANSPORT == Transport::Sse && parts.send(Bytes::from_static(b"\r\n")).await.is_err() {
        return;
    }
    // Boxed and polled beside what drains the outbox, which replies fill.
    let mut acting = Box::pin(async {
        act::<P, S>(joined, context, &mut limits, first).await;
        loop {
            // Boxed: an idle stream does not need the state of it.
            let act: Pin<Box<dyn Future<Output = ()> + Send + '_>> =
                match socket_task::next::<P, _>(joined, |task| messages.poll_next(task)).await {
                    Next::Handle(None) => break, // the client has sent too much
                    Next::Handle(Some(message)) => {
                        Box::pin(act::<P, S>(joined, context, &mut limits, message))
                    }
                    Next::CarryOut(instructed) => {
                        Box::pin(instructed::carry_out_all::<P, S>(joined, instructed))
                    }
                };
            act.await;
        }
        joined.socket().close(&CloseCode::RateLimited.into());
        pending::<()>().await;
    });
    let mut catching_up = None;
    loop {
        let is_idle = catching_up.is_none();
        tokio::select! {
            biased;
            () = parts.closed() => return,
            frames = outbox.take() => {
                let Some(frames) = frames else { return };
                if parts.send(frames).await.is_err() {
                    return;
                }
            }
            () = async { catching_up.as_mut().expect("checked").await }, if !is_idle => {
                catching_up = None;
            }
            () = &mut acting => {}
            change = socket_task::next_change::<P>(joined, is_idle) => {
                if let Some((position, subscription)) = change {
                    let missed = socket_task::send_missed::<P>(joined, position, subscription, Written::Taken);
                    catching_up = Some(Box::pin(missed));
                }
            }
        }
    }
}

/// Acts on one message of the client.
async fn act<P: Protocol, S: Streams>(
    joined: &Joined,
    context: &Context,
    charge: &mut MessageCharge<'_>,
    message: Bytes,
) {
    if message.len() > P::max_frame_bytes(context.config()) {
        return joined.socket().close(&CloseCode::MessageTooBig.into());
    }
    charge.bytes = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let frame = Frame::Binary(Vec::from(message).into());
    Box::pin(socket_task::handle::<P, S>(joined, charge, &frame)).await;
}
