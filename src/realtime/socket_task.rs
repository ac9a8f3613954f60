//! The life of one socket: read, act, and end well, in one task.

use crate::http::connection::Connection;
use crate::layer::LayerError;
use crate::limits::Decision;
use crate::realtime::catch_up::CatchUp;
use crate::realtime::consumer::{Action, Consumer};
use crate::realtime::reader::{Reader, Stop};
use crate::realtime::registration::Registration;
use crate::realtime::socket::Socket;
use crate::realtime::subscription::Subscription;
use crate::telemetry::{Chain, METRICS};
use crate::wire::close::{Close, CloseCode};
use crate::wire::decoder::Decoded;
use crate::wire::frame::Frame;
use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;
use tracing::{debug, trace};

/// How long a peer may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(2);

/// Returns how a socket is closed whose group's log cannot be read.
pub(crate) fn log_unreadable(error: &LayerError) -> Close {
    if error.is_retryable() {
        Close::new(CloseCode::TryAgainLater, "the log cannot be read: try again later")
    } else {
        Close::new(CloseCode::InternalError, "the log is corrupt")
    }
}

/// How reading ended.
enum End {
    /// The peer's close frame received_at: all is said.
    Closed,
    /// The connection is gone.
    Gone,
    /// We closed because of what came; more of it is not read.
    Refused,
    /// We closed, and the peer may still answer properly.
    Closing,
}

/// Reads and acts until the socket ends, then closes it properly.
pub(crate) async fn run<C: Consumer>(
    socket: &Socket,
    place: &Registration,
    stream: Connection,
    early: Box<[u8]>,
) {
    let session = place.session();
    let node = session.context();
    socket.outbox().attach(stream.clone());
    let mut reader = Reader::new(node, socket, &stream, &early, C::limit(node.config()));
    // Boxed, and gone once it is done: most of a socket's life is after it.
    let mut resume = CatchUp::of(session, socket.kind())
        .map(|resume| Box::pin(catch_up::<C>(resume, socket, place, &stream)));
    let end = {
        let mut read = pin!(read::<C>(session, socket, &mut reader));
        let mut drain = pin!(socket.outbox().drain(&stream));
        loop {
            tokio::select! {
                biased; // what is to go along with more has until the next turn
                () = &mut drain => break End::Closing,
                end = &mut read => break end,
                () = async { resume.as_mut().expect("checked").await }, if resume.is_some() => resume = None,
            }
        }
    };
    C::disconnect(session).await;
    let goodbye = Box::pin(async {
        socket.outbox().finish(&stream).await;
        match end {
            End::Closed | End::Gone => {}
            End::Refused => {
                stream.half_close();
                stream.discard().await;
            }
            End::Closing => reader.finish().await,
        }
    });
    if !matches!(end, End::Gone) && Box::pin(tokio::time::timeout(CLOSING, goodbye)).await.is_err() {
        stream.cut();
    }
    let code = socket.outbox().closed().unwrap_or(Close::ABNORMAL);
    METRICS.closed(code, matches!(end, End::Closed));
    trace!(code, "socket closed");
}

/// Gives the socket what it missed, at the pace at which it reads.
async fn catch_up<C: Consumer>(
    mut resume: CatchUp,
    socket: &Socket,
    place: &Registration,
    stream: &Connection,
) {
    loop {
        match resume.next::<C>(place).await {
            Ok(Some(frames)) => {
                socket.send(&frames);
                socket.outbox().finish(stream).await;
            }
            Ok(None) => return,
            Err(error) => {
                debug!(error = %Chain(&error), "could not read what a socket missed");
                return socket.close(&log_unreadable(&error));
            }
        }
    }
}

/// Takes the client's messages, one after another.
async fn read<C: Consumer>(session: &Subscription, socket: &Socket, reader: &mut Reader<'_>) -> End {
    loop {
        let frame = match reader.next().await {
            Ok(Decoded::Text(text)) => Frame::Text(Cow::Owned(text)),
            Ok(Decoded::Binary(bytes)) => Frame::Binary(Cow::Owned(bytes)),
            Ok(Decoded::Close(code)) => {
                socket.close(&Close::echo(code));
                return End::Closed;
            }
            Ok(_) => continue,
            Err(Stop::Refused(close)) => {
                debug!(code = close.code(), reason = close.reason(), "refused what a client sent");
                socket.close(&close);
                return End::Refused;
            }
            Err(Stop::Gone) => return End::Gone,
        };
        let verdict = reader.weigh();
        if verdict != Decision::Fine {
            let answer = if verdict == Decision::TooFast { C::too_fast(&frame) } else { None };
            if let Some(answer) = answer {
                socket.outbox().send_along(answer.encode());
                continue;
            }
            socket.close(&CloseCode::RateLimited.into());
            return End::Refused;
        }
        // Boxed: what a message needs, an idle socket does not.
        let action = Box::pin(C::receive(session, frame)).await;
        match action {
            Action::Nothing => {}
            // What was said comes back to its speaker in this turn, too: one write for both.
            Action::Send(frame) => socket.outbox().send_along(frame.encode()),
            Action::Close(close) => {
                debug!(code = close.code(), reason = close.reason(), "refused what a client sent");
                socket.close(&close);
                return End::Closing;
            }
        }
    }
}
