//! The task of one socket: reads, acts, and closes.

use std::borrow::Cow;
use std::future::{poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tracing::{debug, trace};

use crate::http::connection::Connection;
use crate::layer::Control;
use crate::limits::RateDecision;
use crate::realtime::catch_up::{CatchUp, log_unreadable};
use crate::realtime::client::Client;
use crate::realtime::command::{ClientRequest, Command, Join, NumberedRequest, Target};
use crate::realtime::connecting;
use crate::realtime::denied::{Denied, Reason};
use crate::realtime::instructed;
use crate::realtime::instructions::Instructed;
use crate::realtime::joined::Joined;
use crate::realtime::protocol::{Action, Protocol, Refused, ReplyTo};
use crate::realtime::reader::{Reader, Stop};
use crate::realtime::streams::Streams;
use crate::realtime::subscription::{JoinedBy, Subscription};
use crate::realtime::turn::Turn;
use crate::telemetry::{Chain, METRICS};
use crate::wire::close::{Close, CloseCode};
use crate::wire::decoder::Decoded;
use crate::wire::frame::Frame;

/// The time in which a peer must answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How reading ended.
pub(crate) enum End {
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
pub(crate) async fn run<P: Protocol, S: Streams>(
    joined: &Joined,
    catch_up: Option<Box<CatchUp>>,
    stream: Connection,
    early: Box<[u8]>,
) {
    let (context, socket) = (joined.context(), joined.socket());
    let config = context.config();
    socket.outbox().attach(stream.clone());
    let max_frame_bytes =
        if takes_requests::<S>(joined) { P::max_frame_bytes(config) } else { config.max_message_bytes };
    let mut reader = Reader::new(joined, &stream, &early, max_frame_bytes);
    let first = catch_up.and_then(|catch_up| Some((catch_up, Arc::clone(joined.main()?))));
    // Boxed, and dropped once it is done, early in a socket's life.
    let mut catching_up = first.map(|(position, subscription)| {
        Box::pin(send_missed::<P>(joined, position, subscription, Written::To(&stream)))
    });
    // Before the outbox is drained: a welcome that is there leaves with the 101.
    if catching_up.as_mut().is_some_and(|first| first.as_mut().now_or_never().is_some()) {
        catching_up = None;
    }
    let end = {
        let mut read = pin!(read::<P, S>(joined, &mut reader));
        let mut drain = pin!(socket.outbox().drain(&stream));
        loop {
            let is_idle = catching_up.is_none();
            tokio::select! {
                biased; // frames queued by `send_along` wait for the next turn
                () = &mut drain => break End::Closing,
                end = &mut read => break end,
                () = async { catching_up.as_mut().expect("checked").await }, if !is_idle => {
                    catching_up = None;
                }
                change = next_change::<P>(joined, is_idle), if S::MAY_JOIN => {
                    if let Some((position, subscription)) = change {
                        catching_up = Some(Box::pin(send_missed::<P>(joined, position, subscription, Written::To(&stream))));
                    }
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

/// Returns whether the client may send requests: commands in the channel of the path, or joins.
fn takes_requests<S: Streams>(joined: &Joined) -> bool {
    S::MAY_JOIN || joined.main().is_some_and(|main| main.entrance().takes_commands())
}

/// Waits for the next channel that has to catch up; see [`poll_change`].
pub(crate) async fn next_change<P: Protocol>(
    joined: &Joined,
    is_idle: bool,
) -> Option<(Box<CatchUp>, Arc<Subscription>)> {
    poll_fn(|_| poll_change::<P>(joined, is_idle)).await
}

/// Sends the client which of its channels have ended, and returns the next one that has to catch
/// up, if no other does. Pending while there is none: what changes that wakes the task.
fn poll_change<P: Protocol>(
    joined: &Joined,
    is_idle: bool,
) -> Poll<Option<(Box<CatchUp>, Arc<Subscription>)>> {
    joined.send_ended::<P>();
    match is_idle.then(|| joined.next_catch_up()).flatten() {
        Some(next) => Poll::Ready(Some(next)),
        None => Poll::Pending,
    }
}

/// Who writes the frames of a connection.
#[derive(Clone, Copy)]
pub(crate) enum Written<'a> {
    /// The outbox, to this stream.
    To(&'a Connection),
    /// The task that takes them.
    Taken,
}

/// Sends the socket the events that it missed in a channel, as fast as the peer reads.
pub(crate) async fn send_missed<P: Protocol>(
    joined: &Joined,
    mut catch_up: Box<CatchUp>,
    subscription: Arc<Subscription>,
    written: Written<'_>,
) {
    let socket = subscription.socket();
    let mut is_unanswered = subscription.joined_by() == JoinedBy::Client;
    loop {
        let listing = async { joined.list(&subscription, joined.channel_info(subscription.channel())).await };
        match catch_up.next(&subscription, listing).await {
            _ if subscription.has_ended() => break,
            Ok(Some(frames)) => {
                socket.send(&frames);
                is_unanswered = false;
                match written {
                    Written::To(stream) => socket.outbox().finish(stream).await,
                    Written::Taken => socket.outbox().emptied().await,
                }
            }
            Ok(None) => {
                if catch_up.is_refused() {
                    joined.abandon(&subscription);
                }
                return;
            }
            Err(error) => {
                let group = subscription.group();
                debug!(%group, error = %Chain(&error), "could not read what a socket missed");
                if is_unanswered && joined.abandon(&subscription) {
                    error.record();
                    return refuse_join::<P>(joined, &catch_up, &subscription, &Refused::TryAgain);
                }
                joined.realtime().hub().end_subscription(&subscription, &log_unreadable(&error));
                break;
            }
        }
    }
    // Its welcome may have been read, but was not sent.
    if is_unanswered {
        refuse_join::<P>(joined, &catch_up, &subscription, &Refused::HasLeft);
    }
}

/// Answers a join that has no welcome.
fn refuse_join<P: Protocol>(
    joined: &Joined,
    catch_up: &CatchUp,
    subscription: &Subscription,
    refused: &Refused,
) {
    let channel = subscription.channel();
    let target = Target { stream: channel.stream, name: channel.name.into() };
    let request = ClientRequest::Join(Join::new(target));
    let request = NumberedRequest { number: catch_up.number(), request };
    if let Action::Send(frame) = P::refuse(&request, refused) {
        joined.socket().send(&P::TRANSPORT.message(frame, None));
    }
}

/// What the task of a connection does next.
pub(crate) enum Next<T> {
    /// Handle what came of the client.
    Handle(T),
    /// Carry out an instruction.
    CarryOut(Instructed),
}

/// What the task of a socket does, which may end reading. Boxed: an idle socket does not need the
/// state of it.
type Act<'a> = Pin<Box<dyn Future<Output = Option<End>> + Send + 'a>>;

/// Handles the client's messages and the instructions for its connection, one at a time.
async fn read<P: Protocol, S: Streams>(joined: &Joined, reader: &mut Reader<'_>) -> End {
    loop {
        let act = match next::<P, _>(joined, |task| reader.poll_next(task)).await {
            Next::Handle(read) => handle_read::<P, S>(joined, reader, read),
            Next::CarryOut(instructed) => Box::pin(async move {
                instructed::carry_out_all::<P, S>(joined, instructed).await;
                None
            }),
        };
        if let Some(end) = act.await {
            return end;
        }
    }
}

/// Waits for what comes next: an instruction, or what is polled of the client. One poll for both:
/// an idle connection keeps no state of either. What adds an instruction wakes the task.
pub(crate) fn next<P: Protocol, T>(
    joined: &Joined,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> impl Future<Output = Next<T>> {
    poll_fn(move |task| {
        let hub = joined.realtime().hub();
        match P::CONNECTS.then(|| hub.next_instruction(joined.socket())).flatten() {
            Some(instructed) => Poll::Ready(Next::CarryOut(instructed)),
            None => poll(task).map(Next::Handle),
        }
    })
}

/// Returns what to do about what was read.
fn handle_read<'a, P: Protocol, S: Streams>(
    joined: &'a Joined,
    reader: &'a mut Reader<'_>,
    read: Result<Decoded, Stop>,
) -> Act<'a> {
    let frame = match read {
        Ok(Decoded::Text(text)) => Frame::Text(Cow::Owned(text)),
        Ok(Decoded::Binary(bytes)) => Frame::Binary(Cow::Owned(bytes)),
        Ok(Decoded::Close(code)) => {
            joined.socket().close(&Close::echo(code));
            return Box::pin(ready(Some(End::Closed)));
        }
        Ok(_) => return Box::pin(ready(None)),
        Err(Stop::Refused(close)) => {
            debug!(code = close.code(), reason = close.reason(), "refused what a client sent");
            joined.socket().close(&close);
            return Box::pin(ready(Some(End::Refused)));
        }
        Err(Stop::Gone) => return Box::pin(ready(Some(End::Gone))),
    };
    Box::pin(async move { handle::<P, S>(joined, reader, &frame).await })
}

/// Charges the limits of a client.
pub(crate) trait Charge: Send {
    /// Charges a message with its first request.
    fn message(&mut self) -> RateDecision;

    /// Charges a further request of the message.
    fn request(&mut self) -> RateDecision;
}

impl Charge for Reader<'_> {
    fn message(&mut self) -> RateDecision {
        self.charge()
    }

    fn request(&mut self) -> RateDecision {
        self.charge_request()
    }
}

/// Handles the requests of one message. Returns how reading ends, if it does.
pub(crate) async fn handle<P: Protocol, S: Streams>(
    joined: &Joined,
    charge: &mut impl Charge,
    frame: &Frame<'_>,
) -> Option<End> {
    let socket = joined.socket();
    let mut decision = charge.message();
    let mut turn = Turn::default();
    for (index, frame) in P::split(frame).enumerate() {
        if index > 0 {
            if socket.outbox().closed().is_some() {
                return None;
            }
            socket.outbox().until_low().await; // a client that reads is not slow
            decision = charge.request();
        }
        let (action, end) = match decision {
            RateDecision::Fine => (turn.spend(act::<P, S>(joined, &frame)).await, End::Closing),
            RateDecision::TooFast => {
                if socket.awaits_connect() {
                    socket.end_connect(false);
                }
                (P::too_fast(&frame), End::Refused)
            }
            RateDecision::Flood => (Action::Close(CloseCode::RateLimited.into()), End::Refused),
        };
        joined.send_ended::<P>(); // that a channel is not joined any more may be the answer
        match action {
            Action::Nothing => {}
            // The client's own message is delivered to it in this turn too: one write for both.
            Action::Send(frame) => {
                let message = P::TRANSPORT.message(frame, None);
                turn.reply(message.len());
                socket.outbox().send_along(message);
            }
            Action::Close(close) => {
                debug!(code = close.code(), reason = close.reason(), "refused what a client sent");
                socket.close(&close);
                return Some(end);
            }
        }
        // Behind a costly request, the next one waits, in this message or in another.
        turn.end_request().await;
    }
    None
}

/// Carries out one request of the client.
async fn act<P: Protocol, S: Streams>(joined: &Joined, frame: &Frame<'_>) -> Action {
    if !takes_requests::<S>(joined) {
        return P::unsupported(frame);
    }
    let socket = joined.socket();
    let request = P::decode(frame, joined.context().config());
    if P::CONNECTS {
        let is_connect =
            request.as_ref().is_ok_and(|request| matches!(request.request, ClientRequest::Connect(_)));
        let is_expected = if is_connect { socket.may_connect() } else { !socket.awaits_connect() };
        if !is_expected {
            return Action::Close(Close::from(CloseCode::PolicyViolation));
        }
    }
    let request = match request {
        Ok(request) => request,
        Err(action) => return action,
    };
    let done = match &request.request {
        ClientRequest::Command(target, command) => match joined.find(target.as_ref()) {
            Some(subscription) => carry_out::<P>(joined, &subscription, request.number, command, frame).await,
            None => Err(Refused::NotJoined),
        },
        ClientRequest::Join(join) => {
            joined.join::<P, S>(request.number, join).await.map(|()| Action::Nothing)
        }
        ClientRequest::Leave(target) => leave::<P>(joined, request.number, target),
        ClientRequest::Connect(connect) => {
            let done = connecting::connect::<P, S>(joined, request.number, connect).await;
            socket.end_connect(keeps_connection(&done));
            done
        }
        ClientRequest::Refresh(token) => connecting::refresh::<P>(joined, request.number, token).await,
        ClientRequest::RefreshJoin(target, token) => {
            connecting::refresh_join::<P>(joined, request.number, target, token)
        }
        ClientRequest::Pong if socket.take_pong() => Ok(Action::Nothing),
        ClientRequest::Pong => Ok(Action::Close(CloseCode::PolicyViolation.into())),
    };
    done.unwrap_or_else(|refused| P::refuse(&request, &refused))
}

/// Returns whether the connection goes on after this outcome of a request.
fn keeps_connection(done: &Result<Action, Refused>) -> bool {
    matches!(done, Ok(Action::Nothing | Action::Send(_)))
}

/// Leaves a channel; the connection ends with that of its path.
fn leave<P: Protocol>(joined: &Joined, number: u32, target: &Target<'_>) -> Result<Action, Refused> {
    match joined.find(Some(target)) {
        Some(main) if main.joined_by() == JoinedBy::Path => Ok(Action::Close(CloseCode::Normal.into())),
        Some(_) | None => {
            let left = joined.leave(target).ok_or(Refused::NotJoined)?;
            let answer = P::left_as_asked(number, left.channel());
            Ok(answer.map_or(Action::Nothing, Action::Send))
        }
    }
}

/// Carries out a command in a channel.
async fn carry_out<P: Protocol>(
    joined: &Joined,
    subscription: &Subscription,
    number: u32,
    command: &Command<'_>,
    frame: &Frame<'_>,
) -> Result<Action, Refused> {
    let entrance = subscription.entrance();
    if !entrance.takes_commands() {
        return Err(Refused::TakesNoCommands);
    }
    if matches!(command, Command::Publish { .. }) && !subscription.may_publish() {
        return Err(Denied::Forbidden(Reason::new("only programs publish here")).into());
    }
    let admitted = joined.admitted();
    let allowed = match command {
        Command::History { .. } | Command::Log { .. } | Command::Connections { .. } => admitted.read(),
        Command::Publish { .. } => admitted.publishes_to(subscription.group()),
        Command::Typing | Command::MarkRead { .. } => Ok(()),
    };
    if allowed.is_err() {
        return Ok(P::too_fast(frame));
    }
    // Nothing is done for a client that has lost its right on a node that does not know it yet.
    let reply = match joined.context().layer().in_line().await {
        Ok(()) if joined.socket().outbox().closed().is_some() => return Ok(Action::Nothing),
        Ok(()) if subscription.has_ended() => return Err(Refused::NotJoined),
        Ok(()) => {
            let info = joined.channel_info(subscription.channel());
            let connection = P::CONNECTS.then(|| (joined.client(), info.as_deref()));
            let client = Client { connection, ..subscription.client(joined.context()) };
            entrance.command(client, command).await
        }
        Err(error) => Err(error),
    };
    let reply = reply.as_ref().inspect_err(|error| error.record());
    let to = ReplyTo { number, command, channel: subscription.channel(), view: entrance.view() };
    Ok(P::reply(&to, reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::renderer::tests::Plain;
    use crate::realtime::streams::NoStreams;

    /// What the task of an idle socket keeps, in bytes: each connection has one.
    const MAX_IDLE_BYTES: usize = 416;

    #[test]
    fn a_client_has_connected_only_where_its_connection_goes_on() {
        let answer = Frame::Text(Cow::Borrowed("{}"));
        for (done, has_connected) in [
            (Ok(Action::Nothing), true),
            (Ok(Action::Send(answer)), true),
            (Ok(Action::Close(CloseCode::RateLimited.into())), false),
            (Err(Refused::TokenExpired), false),
        ] {
            assert_eq!(keeps_connection(&done), has_connected, "{done:?}");
        }
    }

    #[test]
    fn an_idle_socket_keeps_few_bytes_in_its_task() {
        fn size<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(run::<Plain, NoStreams>);
        assert!(bytes <= MAX_IDLE_BYTES, "{bytes} bytes");
    }
}
