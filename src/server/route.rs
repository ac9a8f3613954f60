//! A route: which handler serves which method of a path, or which consumer takes its sockets.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::http::upgrade::Upgrade;
use crate::realtime::consumer::Consumer;
use crate::realtime::handshake;
use crate::realtime::runtime::Realtime;
use crate::realtime::sse as feed;

/// What a handler returns, some day.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

type Handler = Box<dyn Fn(Arc<Realtime>, Request) -> Answer + Send + Sync>;

/// Opens a socket.
pub(crate) type Open = fn(Arc<Realtime>, Request, Upgrade) -> Answer;

/// One line of the route table.
#[derive(Default)]
pub struct Route {
    pub(crate) handlers: Vec<(Method, Handler)>,
    pub(crate) sockets: Vec<(Option<&'static str>, Open)>,
    pub(crate) name: Option<String>,
    /// Whoever asks is served alike, and nobody looks who it is.
    pub(crate) open: bool,
    /// For operators; for everybody else it does not exist.
    pub(crate) staff: bool,
    /// What it answers goes on, as a socket does.
    pub(crate) feeds: bool,
}

impl Route {
    /// GET, and with it HEAD.
    pub fn get<F: Future<Output = Result<Response, Refusal>> + Send + 'static>(
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::default().on(Method::GET, handler)
    }

    /// And POST.
    #[must_use]
    pub fn post<F: Future<Output = Result<Response, Refusal>> + Send + 'static>(
        self,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self {
        self.on(Method::POST, handler)
    }

    /// And DELETE.
    #[must_use]
    pub fn delete<F: Future<Output = Result<Response, Refusal>> + Send + 'static>(
        self,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self {
        self.on(Method::DELETE, handler)
    }

    /// POST alone.
    pub fn only_post<F: Future<Output = Result<Response, Refusal>> + Send + 'static>(
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::default().on(Method::POST, handler)
    }

    /// Sockets, taken by this consumer.
    pub fn socket<C: Consumer>() -> Self {
        Self::default().or_socket::<C>()
    }

    /// And sockets that offer the subprotocol of this consumer. The first that fits is taken.
    #[must_use]
    pub fn or_socket<C: Consumer>(mut self) -> Self {
        let open: Open =
            |realtime, request, handshake| Box::pin(handshake::open::<C>(realtime, request, handshake));
        self.sockets.push((C::SUBPROTOCOL, open));
        self
    }

    /// A feed of Server-Sent Events for readers without sockets: what this consumer's sockets get.
    pub fn feed<C: Consumer>() -> Self {
        let open: Handler = Box::new(|realtime, request| Box::pin(feed::open::<C>(realtime, request)));
        Self { feeds: true, handlers: vec![(Method::GET, open)], ..Self::default() }
    }

    /// For everybody alike: who asks is not looked up, so that it is served also while the layer is away.
    #[must_use]
    pub fn open_to_all(self) -> Self {
        Self { open: true, ..self }
    }

    /// For operators alone: to everybody else it is answered as what does not exist.
    #[must_use]
    pub fn for_staff(self) -> Self {
        Self { staff: true, ..self }
    }

    /// Who takes the socket of this handshake: whoever speaks what it offers, or who needs no offer.
    pub(crate) fn opener(&self, handshake: &Upgrade) -> Option<Open> {
        let offered = |protocol: Option<&str>| protocol.is_some_and(|protocol| handshake.offers(protocol));
        let chosen = self.sockets.iter().find(|(protocol, _)| offered(*protocol));
        chosen.or_else(|| self.sockets.iter().find(|(protocol, _)| protocol.is_none())).map(|(_, open)| *open)
    }

    /// The segment of the path that [`Request::name`] gives to the handler, percent-decoded.
    #[must_use]
    pub fn at(self, segment: &str) -> Self {
        Self { name: percent_decode_str(segment).decode_utf8().ok().map(Into::into), ..self }
    }

    fn on<F: Future<Output = Result<Response, Refusal>> + Send + 'static>(
        mut self,
        method: Method,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self {
        self.handlers.push((method, Box::new(move |_, request| Box::pin(handler(request)))));
        self
    }
}
