//! Entrances: ways into a kind of channel, as the connections keep them, which know no application.

use std::any::TypeId;
use std::future::Future;
use std::pin::Pin;

use crate::auth::identity::Identity;
use crate::http::context::Context;
use crate::layer::LayerError;
use crate::realtime::access::{Access, Grant, PresumedGrant};
use crate::realtime::channel::Channel;
use crate::realtime::client::Client;
use crate::realtime::command::{Command, Reply};
use crate::realtime::connections::Connections;
use crate::realtime::denied::Denied;
use crate::realtime::protocol::{Protocol, ViewFn};
use crate::realtime::renderer::Renderer;
use crate::wire::event::Event;
use crate::wire::frame::Transport;

/// An access, a channel and a protocol, on one transport. A pointer, because every feed holds
/// one.
#[derive(Clone, Copy)]
pub struct Entrance(&'static EntranceVTable);

/// The functions of an access, a channel and a protocol.
struct EntranceVTable {
    access: TypeId,
    grant: GrantFn,
    presume: PresumeFn,
    takes_commands: bool,
    replays: bool,
    resumes: bool,
    command: CommandFn,
    greeting: GreetingFn,
    view: ViewFn,
    renderer: Renderer,
    connections: Option<Renderer>,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type GrantFn = for<'a> fn(&'a Context, &'a Identity, &'a str) -> Boxed<'a, Result<Grant, Denied>>;
type PresumeFn = fn(&Context, &Identity, &str) -> Option<PresumedGrant>;
type CommandFn = for<'a> fn(Client<'a>, &'a Command<'a>) -> Boxed<'a, Result<Reply, LayerError>>;
type GreetingFn = fn(Client<'_>) -> Boxed<'_, Result<Vec<Event>, LayerError>>;

impl Entrance {
    /// Returns the entrance on the transport of the protocol.
    pub const fn new<A: Access, C: Channel, P: Protocol>() -> Self {
        Self::on::<A, C, P>(P::TRANSPORT)
    }

    pub(crate) const fn on<A: Access, C: Channel, P: Protocol>(transport: Transport) -> Self {
        Self(match transport {
            Transport::WebSocket => const { &EntranceVTable::new::<A, C, P>(Transport::WebSocket) },
            Transport::Sse => const { &EntranceVTable::new::<A, C, P>(Transport::Sse) },
            Transport::Body => const { &EntranceVTable::new::<A, C, P>(Transport::Body) },
        })
    }

    /// Returns which access it asks.
    pub(crate) fn access(self) -> TypeId {
        self.0.access
    }

    /// Asks the access. See [`Access::grant`].
    pub(crate) async fn grant(
        self,
        context: &Context,
        identity: &Identity,
        name: &str,
    ) -> Result<Grant, Denied> {
        (self.0.grant)(context, identity, name).await
    }

    /// See [`Access::presume`].
    pub(crate) fn presume(self, context: &Context, identity: &Identity, name: &str) -> Option<PresumedGrant> {
        (self.0.presume)(context, identity, name)
    }

    /// See [`Channel::TAKES_COMMANDS`].
    pub(crate) fn takes_commands(self) -> bool {
        self.0.takes_commands
    }

    /// See [`Channel::REPLAYS`].
    pub(crate) fn replays(self) -> bool {
        self.0.replays
    }

    /// See [`Protocol::RESUMES`].
    pub(crate) fn resumes(self) -> bool {
        self.0.resumes
    }

    /// See [`Channel::command`].
    pub(crate) async fn command(
        self,
        client: Client<'_>,
        command: &Command<'_>,
    ) -> Result<Reply, LayerError> {
        (self.0.command)(client, command).await
    }

    /// See [`Channel::greeting`].
    pub(crate) async fn greeting(self, client: Client<'_>) -> Result<Vec<Event>, LayerError> {
        (self.0.greeting)(client).await
    }

    /// See [`Channel::view`].
    pub(crate) fn view(self) -> ViewFn {
        self.0.view
    }

    /// Returns the renderer of the events.
    pub(crate) fn renderer(self) -> Renderer {
        self.0.renderer
    }

    /// Returns the renderer of joins and leaves of connections, if the protocol has them.
    pub(crate) fn connections(self) -> Option<Renderer> {
        self.0.connections
    }
}

impl EntranceVTable {
    const fn new<A: Access, C: Channel, P: Protocol>(transport: Transport) -> Self {
        Self {
            access: TypeId::of::<A>(),
            grant: |context, identity, name| Box::pin(A::grant(context, identity, name)),
            presume: A::presume,
            takes_commands: C::TAKES_COMMANDS,
            replays: C::REPLAYS,
            resumes: P::RESUMES,
            command: |client, command| Box::pin(C::command(client, command)),
            greeting: |client| Box::pin(C::greeting(client)),
            view: C::view,
            renderer: Renderer::new::<C, P>(transport),
            connections: if P::SHOWS_CONNECTIONS {
                Some(Renderer::new::<Connections, P>(transport))
            } else {
                None
            },
        }
    }
}
