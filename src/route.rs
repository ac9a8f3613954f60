//! A route: which handler serves which method of a path, or which consumer takes its sockets.

use std::future::Future;
use std::pin::Pin;

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::consumer::Consumer;
use crate::handshake::{self, Handshake};
use crate::request::Request;
use crate::response::{Refusal, Response};

/// What a handler returns, some day.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

type Handler = Box<dyn Fn(Request) -> Answer + Send + Sync>;

/// One line of the route table.
#[derive(Default)]
pub struct Route {
    pub(crate) handlers: Vec<(Method, Handler)>,
    pub(crate) socket: Option<fn(Request, Handshake) -> Answer>,
    pub(crate) name: Option<String>,
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

    /// Sockets, taken by this consumer.
    pub fn socket<C: Consumer>() -> Self {
        let open = |request, handshake| -> Answer { Box::pin(handshake::open::<C>(request, handshake)) };
        Self { socket: Some(open), ..Self::default() }
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
        self.handlers.push((method, Box::new(move |request| Box::pin(handler(request)))));
        self
    }
}
