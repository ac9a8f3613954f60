//! Admission: from a request to a registered socket, on either transport.
//!
//! The socket is registered *before* its request is answered, so that a client receives every event
//! published after it sees the answer.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use hyper_tungstenite::HyperWebsocket;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tracing::debug;
use uuid::Uuid;

use crate::http::connection::{Connection, Timed};
use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::http::upgrade::Upgrade;
use crate::realtime::access::{Access, Grant, PresumedGrant};
use crate::realtime::catch_up::CatchUp;
use crate::realtime::channel::Channel;
use crate::realtime::command::Omitted;
use crate::realtime::denied::Denied;
use crate::realtime::entrance::Entrance;
use crate::realtime::feed::Feed;
use crate::realtime::joined::Joined;
use crate::realtime::listed_connection;
use crate::realtime::protocol::Protocol;
use crate::realtime::registration::{Registration, SocketRegistration};
use crate::realtime::renderer::Wire;
use crate::realtime::revalidation::Verdict;
use crate::realtime::runtime::Realtime;
use crate::realtime::start_position::StartPosition;
use crate::realtime::streams::Streams;
use crate::realtime::subscription::{JoinedBy, Subscription};
use crate::realtime::{client_stream, revalidation, socket_task, sse};
use crate::telemetry::Chain;
use crate::wire::frame::Transport;

/// The time in which the 101 must be written.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Admits a client to a channel and answers its request: 101 to a WebSocket handshake, else a
/// stream of Server-Sent Events.
///
/// # Errors
/// Returns the refusals of the access, 400 for an invalid start position, 429 above a limit, and
/// 503 while the node stops or the layer is unreachable.
pub(crate) async fn open<A: Access, C: Channel, P: Protocol, S: Streams>(
    realtime: Arc<Realtime>,
    request: Request,
    upgrade: Option<Upgrade>,
) -> Result<Response, Refusal> {
    let context = &request.context;
    let transport = if upgrade.is_some() { Transport::WebSocket } else { Transport::Sse };
    if context.is_stopping() {
        return Err(Refusal::unavailable("this node ends: another one serves on"));
    }
    let admitted = context.limits().admit(request.peer())?;
    let identity = request.identity();
    let name = request.params.first().unwrap_or_default();
    let presumed = A::presume(context, identity, name);
    let granted = match &presumed {
        Some(_) => None,
        None => Some(grant::<A>(&request, transport).await?),
    };
    let start = match (P::RESUMES, C::REPLAYS) {
        (false, _) => None,
        (true, false) => Some(StartPosition::now()),
        (true, true) => Some(StartPosition::from_request(&request)?),
    };
    if start.is_some_and(|start| start.reads()) {
        admitted.read()?;
    }
    let admitted = admitted.for_user(identity.known_id())?;
    let opened_at = request.received_at;
    let entering = Entering {
        realtime: &realtime,
        request: &request,
        entrance: Entrance::on::<A, C, P>(transport),
        wire: Wire::new::<P>(transport),
        start,
    };
    let entered = match &presumed {
        Some(PresumedGrant { grant, unless }) => entering.enter(grant, Some(unless)).await?,
        None => None,
    };
    let entered = match (entered, granted) {
        (Some(entered), _) => Some(entered),
        (None, Some(grant)) => entering.enter(&grant, None).await?,
        (None, None) => entering.enter(&grant::<A>(&request, transport).await?, None).await?,
    };
    let Some(Entered { registered, registration, catch_up }) = entered else {
        return Err(Denied::NotFound.refusal(transport));
    };
    match revalidation::check_admitted(&realtime, &registration, opened_at).await? {
        None | Some(Verdict::Granted(_)) => {}
        Some(Verdict::Unsuitable(_)) => {
            return Err(Refusal::unavailable("what you enter has changed meanwhile: try again"));
        }
        Some(Verdict::Gone(close) | Verdict::NotPermitted(close)) => {
            return Err(Refusal::forbidden(close.reason().to_owned()));
        }
    }
    if catch_up.is_none() || transport == Transport::Sse {
        let listed = listed_connection::enter(&realtime, &registration, || Uuid::new_v4().to_string(), None);
        listed.await.map_err(Denied::Layer)?;
    }
    Ok(match upgrade {
        Some(upgrade) => {
            let joined = Joined::new(registered, Some(registration), admitted);
            accept::<P, S>(joined, catch_up, request.stream, upgrade)
        }
        None => sse::respond(registered, registration, catch_up, admitted, request.stream),
    })
}

/// Asks the access for the channel of the path.
async fn grant<A: Access>(request: &Request, transport: Transport) -> Result<Grant, Refusal> {
    let name = request.params.first().unwrap_or_default();
    let grant = A::grant(&request.context, request.identity(), name).await;
    let grant = grant.map_err(|denied| denied.refusal(transport))?;
    if grant.requires_token {
        return Err(Denied::NotFound.refusal(transport)); // a path has none
    }
    Ok(grant)
}

/// A socket on its way into the channel of its path.
struct Entering<'a> {
    realtime: &'a Arc<Realtime>,
    request: &'a Request,
    entrance: Entrance,
    wire: Wire,
    start: Option<StartPosition>,
}

/// A socket that is registered, and subscribed to the channel of its path.
struct Entered {
    registered: SocketRegistration,
    registration: Registration,
    catch_up: Option<Box<CatchUp>>,
}

impl Entering<'_> {
    /// Enters with this grant. If that is right only without a record, returns `None` where there
    /// is one or the access has to be asked.
    async fn enter(&self, grant: &Grant, unless: Option<&str>) -> Result<Option<Entered>, Refusal> {
        let realtime = self.realtime;
        let socket = realtime.socket(self.request.identity(), self.wire);
        let feed = realtime.hub().share(Feed::new(grant, self.entrance, Omitted::default()));
        let catch_up = self.start.map(|start| CatchUp::new(realtime, Arc::clone(&feed), start));
        let subscription = Subscription::new(Arc::clone(&socket), feed, grant, JoinedBy::Path);
        let subscription = Arc::new(subscription);
        let opened_at = self.request.received_at;
        let registered = SocketRegistration::register(realtime, socket, Some(&subscription), opened_at);
        let registration = match unless {
            Some(record) => Registration::subscribe_unless(realtime, &subscription, record).await,
            None => Registration::subscribe(realtime, subscription).await.map(Some),
        };
        let registration = registration.map_err(|error| {
            debug!(group = %grant.group, error = %Chain(&error), "refused a socket");
            error.record();
            Refusal::unavailable("the server cannot reach its messages: try again later")
        })?;
        Ok(registration.map(|registration| Entered { registered, registration, catch_up }))
    }
}

/// Admits a client to a connection without a channel of its own, and answers its handshake.
///
/// # Errors
/// Returns 429 above a limit, and 503 while the node stops.
pub(crate) fn open_without_channel<P: Protocol, S: Streams>(
    realtime: &Arc<Realtime>,
    request: Request,
    upgrade: Option<Upgrade>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.ok_or_else(|| Refusal::bad_request("expected a WebSocket handshake"))?;
    let context = &request.context;
    if context.is_stopping() {
        return Err(Refusal::unavailable("this node ends: another one serves on"));
    }
    let identity = request.identity();
    let admitted = context.limits().admit(request.peer())?;
    // The user of a client that connects is known then.
    let admitted = if P::CONNECTS { admitted } else { admitted.for_user(identity.known_id())? };
    let socket = realtime.socket(identity, Wire::new::<P>(Transport::WebSocket));
    let registration = SocketRegistration::register(realtime, socket, None, request.received_at);
    let joined = Joined::new(registration, None, admitted);
    Ok(accept::<P, S>(joined, None, request.stream, upgrade))
}

/// Opens a connection whose frames are the body of the response. Its first message is the body of
/// the request, or `cf_connect` in its query.
///
/// # Errors
/// Returns 400 without a message that the protocol needs, 429 above a limit, and 503 while the node
/// stops.
pub(crate) fn open_client_stream<P: Protocol, S: Streams>(
    realtime: &Arc<Realtime>,
    request: &Request,
) -> Result<Response, Refusal> {
    let context = &request.context;
    if context.is_stopping() {
        return Err(Refusal::unavailable("this node ends: another one serves on"));
    }
    let first = if request.body.is_empty() {
        let query = request.query("cf_connect").filter(|query| !query.is_empty());
        query.unwrap_or_else(|| P::FIRST_MESSAGE.to_owned()).into()
    } else {
        request.body.clone()
    };
    if first.is_empty() {
        return Err(Refusal::bad_request("`cf_connect`: expected a first message, or one as the body"));
    }
    let admitted = context.limits().admit(request.peer())?;
    let socket = realtime.socket(request.identity(), Wire::new::<P>(P::TRANSPORT));
    let registration = SocketRegistration::register(realtime, socket, None, request.received_at);
    let joined = Joined::new(registration, None, admitted);
    let (id, messages) = context.client_streams().open();
    joined.set_stream(&id);
    Ok(client_stream::respond::<P, S>(joined, id, first, messages, request.stream.clone()))
}

/// Answers 101, and runs the socket in a task of its own.
fn accept<P: Protocol, S: Streams>(
    joined: Joined,
    catch_up: Option<Box<CatchUp>>,
    stream: Connection,
    upgrade: Upgrade,
) -> Response {
    if catch_up.is_some() {
        stream.hold_response(); // for the welcome
    }
    let context = Arc::clone(joined.context());
    let is_offered = P::SUBPROTOCOL.is_some_and(|protocol| upgrade.offers(protocol));
    // Boxed, and dropped once it is done: the task lives as long as the socket.
    let upgraded = Box::pin(timeout(UPGRADE_TIMEOUT, upgraded(upgrade.websocket)));
    context.track(async move {
        let Ok(Some(early)) = upgraded.await else { return };
        socket_task::run::<P, S>(&joined, catch_up, stream, early).await;
    });
    match P::SUBPROTOCOL.filter(|_| is_offered) {
        Some(protocol) => upgrade.response.with(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol)),
        None => upgrade.response,
    }
}

/// Returns the bytes that the client sent right behind its handshake, once the 101 is written.
async fn upgraded(websocket: HyperWebsocket) -> Option<Box<[u8]>> {
    let upgraded = websocket.await.ok()?.into_inner().into_inner();
    let parts = upgraded.downcast::<TokioIo<Timed>>().ok()?;
    // Copied, to free the 8 KB into which hyper read the request.
    Some((*parts.read_buf).into())
}
