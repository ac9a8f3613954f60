//! The task of one socket: reads, acts, and closes.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use tracing::{debug, trace};

use crate::http::connection::Connection;
use crate::layer::Control;
use crate::limits::Decision;
use crate::realtime::catch_up::{CatchUp, log_unreadable};
use crate::realtime::channel::Channel;
use crate::realtime::command::Command;
use crate::realtime::protocol::{Action, Protocol};
use crate::realtime::reader::{Reader, Stop};
use crate::realtime::registration::Registration;
use crate::telemetry::{Chain, METRICS};
use crate::wire::close::{Close, CloseCode};
use crate::wire::decoder::Decoded;
use crate::wire::frame::Frame;

/// The time in which a peer must answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How reading ended.
enum End {
    /// The peer sent a close frame.
    Closed,
    /// The connection is gone.
    Gone,
    /// The server closed because of a frame of the peer, and reads no more.
    Refused,
    /// The server closed, and the peer may answer with a close frame.
    Closing,
}

/// Reads and acts until the socket ends, then completes the closing handshake.
pub(crate) async fn run<C: Channel, P: Protocol>(
    registration: &Registration,
    stream: Connection,
    early: Box<[u8]>,
) {
    let (context, socket) = (registration.context(), registration.socket());
    let config = context.config();
    socket.outbox().attach(stream.clone());
    let max_frame_bytes =
        if C::TAKES_COMMANDS { P::max_frame_bytes(config) } else { config.max_message_bytes };
    let mut reader = Reader::new(registration, &stream, &early, max_frame_bytes);
    // Boxed, and dropped once it is done, early in a socket's life.
    let mut catching_up = CatchUp::new(registration)
        .map(|position| Box::pin(catch_up::<C, P>(position, registration, &stream)));
    let end = {
        let mut read = pin!(read::<C, P>(registration, &mut reader));
        let mut drain = pin!(socket.outbox().drain(&stream));
        loop {
            tokio::select! {
                biased; // frames queued by `send_along` wait for the next turn
                () = &mut drain => break End::Closing,
                end = &mut read => break end,
                () = async { catching_up.as_mut().expect("checked").await }, if catching_up.is_some() => {
                    catching_up = None;
                }
            }
        }
    };
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
    let is_overdue =
        !matches!(end, End::Gone) && Box::pin(tokio::time::timeout(CLOSE_TIMEOUT, goodbye)).await.is_err();
    // A slow reader still receives what is on its way.
    if is_overdue && matches!(end, End::Refused) {
        stream.cut();
    }
    let code = socket.outbox().closed().unwrap_or(Close::ABNORMAL);
    METRICS.closed(code, matches!(end, End::Closed));
    trace!(code, "socket closed");
}

/// Sends the socket the events that it missed, as fast as the peer reads.
async fn catch_up<C: Channel, P: Protocol>(
    mut catch_up: CatchUp,
    registration: &Registration,
    stream: &Connection,
) {
    let socket = registration.socket();
    loop {
        match catch_up.next::<C, P>(registration).await {
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

/// Handles the client's messages, one at a time.
async fn read<C: Channel, P: Protocol>(registration: &Registration, reader: &mut Reader<'_>) -> End {
    let socket = registration.socket();
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
        let decision = reader.charge();
        let (action, end) = match decision {
            // Boxed: an idle socket does not need the state of a message.
            Decision::Fine => (Box::pin(act::<C, P>(registration, frame)).await, End::Closing),
            Decision::TooFast => (P::too_fast(&frame), End::Refused),
            Decision::Flood => (Action::Close(CloseCode::RateLimited.into()), End::Refused),
        };
        match action {
            Action::Nothing => {}
            // The client's own message is delivered to it in this turn too: one write for both.
            Action::Send(frame) => socket.outbox().send_along(frame.encode()),
            Action::Close(close) => {
                debug!(code = close.code(), reason = close.reason(), "refused what a client sent");
                socket.close(&close);
                return end;
            }
        }
    }
}

/// Carries out one message of the client.
async fn act<C: Channel, P: Protocol>(registration: &Registration, frame: Frame<'_>) -> Action {
    if !C::TAKES_COMMANDS {
        return P::unsupported(&frame);
    }
    let command = match P::decode(&frame, registration.context().config()) {
        Ok(command) => command,
        Err(action) => return action,
    };
    let admitted = registration.admitted();
    let allowed = match command {
        Command::History { .. } => admitted.read(),
        Command::Publish { .. } => admitted.publishes_to(registration.subscription().group()),
        Command::Typing | Command::MarkRead { .. } => Ok(()),
    };
    if allowed.is_err() {
        return P::too_fast(&frame);
    }
    // Nothing is done for a client that has lost its right on a node that does not know it yet.
    let reply = match registration.context().layer().in_line().await {
        Ok(()) if registration.socket().outbox().closed().is_some() => return Action::Nothing,
        Ok(()) => C::command(registration.client(), &command).await,
        Err(error) => Err(error),
    };
    P::reply(&command, reply.as_ref().inspect_err(|error| error.record()), C::view)
}
