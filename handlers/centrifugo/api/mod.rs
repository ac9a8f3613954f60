//! The server API under Centrifugo's names: `POST /centrifugo/api/<method>`, as
//! [`docs/centrifugo.md`](../../../docs/centrifugo.md) describes it.
//!
//! Every answer to a program with a key is a 200 with a `result` (of a batch: with `replies`) or an
//! `error`. What a method does not offer is an error, and never ignored.

mod answer;
mod batch;
mod channel;
mod connections;
mod disconnects;
mod params;
mod publish;
mod reads;
mod removal;

use futures_util::future::{BoxFuture, FutureExt};
use parlor::{Refusal, Request, Response, Role, StatusCode};

use crate::centrifugo::api::answer::{Answer, outcome};
use crate::centrifugo::api::params::params;
use crate::centrifugo::api::publish::{broadcast, publish};
use crate::centrifugo::api::reads::{history, info, list, presence, presence_stats};
use crate::centrifugo::api::removal::history_remove;
use crate::protocols::centrifugo::error::{Error, ErrorCode};
use crate::scopes::{CONNECTIONS, DISCONNECT, PUBLISH, READ};

/// A method, which a batch may have as a command, too.
struct Method {
    name: &'static str,
    /// The scope that a key needs.
    scope: &'static str,
    charge: Charge,
    run: Run,
}

/// Carries out a method with the parameters in this JSON.
type Run = for<'a> fn(&'a Request, &'a str) -> BoxFuture<'a, Result<Answer, Error>>;

/// What a call counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charge {
    /// A publish of the key.
    Publish,
    /// A publish of the key for each item: the method charges them.
    PublishPerItem,
    /// A read of the address.
    Read,
}

macro_rules! method {
    ($name:literal, $scope:expr, $charge:ident, $method:path) => {
        Method {
            name: $name,
            scope: $scope,
            charge: Charge::$charge,
            run: |request, body| async move { described($method(request, params(body)?).await) }.boxed(),
        }
    };
}

/// The methods; `batch` aside, which consists of them.
const METHODS: &[Method] = &[
    method!("publish", PUBLISH, Publish, publish),
    method!("broadcast", PUBLISH, PublishPerItem, broadcast),
    method!("history_remove", PUBLISH, Publish, history_remove),
    method!("history", READ, Read, history),
    method!("presence", READ, Read, presence),
    method!("presence_stats", READ, Read, presence_stats),
    method!("channels", READ, Read, list),
    method!("info", READ, Read, info),
    method!("subscribe", CONNECTIONS, Publish, connections::subscribe),
    method!("refresh", CONNECTIONS, Publish, connections::refresh),
    method!("unsubscribe", DISCONNECT, Publish, disconnects::unsubscribe),
    method!("disconnect", DISCONNECT, Publish, disconnects::disconnect),
];

/// What Parlor has no counterpart of.
const NOT_OFFERED: [&str; 1] = ["rpc"];

/// Answers `POST /centrifugo/api/{method}`.
///
/// # Errors
/// Returns 401 for clients that have no API key and are no operators.
pub(crate) async fn call(request: Request) -> Result<Response, Refusal> {
    if request.identity().role() != Role::Key && !request.identity().is_staff() {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "`X-API-Key`: expected an API key"));
    }
    let method = request.param("method").unwrap_or_default();
    let body = match std::str::from_utf8(request.body()) {
        Ok("") => Ok("{}"),
        Ok(body) => Ok(body),
        Err(_) => Err(ErrorCode::BadRequest),
    };
    // A batch has its `replies` in the place of a result, as Centrifugo's libraries read them.
    let (name, result) = match (method, body) {
        (_, Err(code)) => ("", Err(code.into())),
        ("batch", Ok(body)) => ("replies", batch::run_all(&request, body).await),
        (_, Ok(body)) => ("result", run(&request, method, body).await),
    };
    Ok(Response::json(outcome(name, result).get()))
}

/// Carries out a method, for a program that may do it as often.
async fn run(request: &Request, name: &str, body: &str) -> Result<Answer, Error> {
    let method = find(name)?;
    if !request.identity().may(method.scope) && !request.identity().is_staff() {
        return Err(ErrorCode::PermissionDenied.into());
    }
    let charged = match method.charge {
        Charge::Publish => request.charge_item(),
        Charge::PublishPerItem => Ok(()),
        Charge::Read => request.charge_read(),
    };
    charged.map_err(|_| ErrorCode::TooManyRequests)?;
    (method.run)(request, body).await
}

/// Returns the result of a method whose errors may have texts of their own.
fn described(result: Result<Answer, impl Into<Error>>) -> Result<Answer, Error> {
    result.map_err(Into::into)
}

fn find(name: &str) -> Result<&'static Method, ErrorCode> {
    if NOT_OFFERED.contains(&name) {
        return Err(ErrorCode::NotAvailable);
    }
    METHODS.iter().find(|method| method.name == name).ok_or(ErrorCode::MethodNotFound)
}
