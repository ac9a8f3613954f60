//! Parlor's runtime: HTTP, WebSocket and Redis for an application of stateless functions.
//!
//! The application is a binary of its own (`handlers/`, `examples/echo/`). It names an
//! [`Application`] and calls [`run`]; all types that it needs are exported here.
//!
//! A message crosses the runtime as follows. Each arrow is a call, except that the hub and the
//! layer take turns with their queues:
//!
//! ```text
//! browser -> connection -> reader -> Protocol::decode -> Channel::command -> layer -> Redis
//! browser <- connection <- outbox <- Protocol::view <- Channel::view <- hub <- layer <- Redis
//! ```
//!
//! The folders are layers. A folder imports only those above it in this list:
//!
//! | folder | contains |
//! |---|---|
//! | `wire` | what crosses a boundary, without I/O: events, positions, frames, hosts, origins |
//! | `telemetry` | the log and the metrics |
//! | `config` | the settings and the parsers of their values |
//! | `limits` | rates by key, concurrency, the message rate of a socket |
//! | `layer` | what all nodes share, in memory or in Redis |
//! | `auth` | identities, accounts, sessions, guests, API keys, tokens |
//! | `http` | requests, responses, pages, cookies, CSRF |
//! | `realtime` | sockets, subscriptions, the hub |
//! | `server` | the listener, the dispatch, the routes |
//!
//! `app` describes an application, `node` is the composition root, `cli` reads the arguments and
//! has the commands, `run` starts and stops a node, `start_error` is why a start failed.

mod app;
mod auth;
mod cli;
mod config;
mod http;
mod layer;
mod limits;
mod node;
mod operator;
mod realtime;
mod run;
#[cfg(test)]
mod seeds;
mod server;
mod start_error;
mod telemetry;
mod watchdog;
mod wire;

/// Properties that hold for any input of a decoder, for `fuzz/` and the unit tests.
#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use crate::app::Application;
pub use crate::auth::accounts::{Account, SignUpError};
pub use crate::auth::api_keys::ApiKey;
pub use crate::auth::audit::{AuditEntry, MAX_AUDIT_ENTRIES};
pub use crate::auth::identity::{Identity, Role};
pub use crate::auth::secret;
pub use crate::auth::tickets::TICKET_LIFETIME;
pub use crate::auth::usernames::Username;
pub use crate::config::Config;
pub use crate::config::app_settings::AppSettings;
pub use crate::config::auth::PASSWORD_CHARS;
pub use crate::config::parsers;
pub use crate::config::redis_url::RedisUrl;
pub use crate::http::context::{Context, NotReady};
pub use crate::http::form::Form;
pub use crate::http::request::Request;
pub use crate::http::response::{Refusal, Response};
pub use crate::layer::{
    Appended, Broker, Change, ConnectError, ConnectionChange, Control, Disconnect, Guard, HistoryRange,
    IDEMPOTENCY_WINDOW, IdempotencyKey, Index, Instruction, LEAVE_GRACE, Layer, LayerError, LayerListener,
    LogFigures, MAX_LISTED_GROUPS, MAX_LISTED_MEMBERS, NodeFigures, NodeInfo, Page, Presence,
    PresenceSnapshot, Retention, RightsChange, SharedStore, Store,
};
pub use crate::realtime::access::{Access, Grant, PresumedGrant};
pub use crate::realtime::channel::{Channel, Interval};
pub use crate::realtime::client::Client;
pub use crate::realtime::command::{
    ClientRequest, Command, Connect, Join, NumberedRequest, Omitted, Reply, Since, StreamPosition, Target,
};
pub use crate::realtime::connecting::INVALID_TOKEN;
pub use crate::realtime::connection_list::ConnectionList;
pub use crate::realtime::connection_member::ConnectionMember;
pub use crate::realtime::connections::connections_in;
pub use crate::realtime::denied::{Denied, Reason};
pub use crate::realtime::entrance::Entrance;
pub use crate::realtime::instructed::TOO_MANY_CHANNELS;
pub use crate::realtime::intervals::{start_interval, stop_interval};
pub use crate::realtime::log_position::read_log;
pub use crate::realtime::outbox::TOO_SLOW;
pub use crate::realtime::protocol::{Action, ChannelName, Connected, Protocol, Refused, ReplyTo, ViewFn};
pub use crate::realtime::revalidation::TOKEN_EXPIRED;
pub use crate::realtime::socket::{NOT_CONNECTED, PING_INTERVAL_SECONDS};
pub use crate::realtime::streams::{NoStreams, Streams};
pub use crate::realtime::view::{Message, View};
pub use crate::realtime::welcome::Welcome;
pub use crate::run::run;
pub use crate::server::guards::{Csrf, Rate, Who};
pub use crate::server::route::{Answer, Endpoint, Handler, Route, Slash};
pub use crate::telemetry::{MetricsFormat, Recovery};
pub use crate::wire::close::{Close, CloseCode, CloseRow, MAX_REASON_BYTES, Reconnect};
pub use crate::wire::delivery::Delivery;
pub use crate::wire::event::{Event, GAP, Malformed, PRESENCE, Position, REDACTED};
pub use crate::wire::frame::{Frame, Transport};
pub use crate::wire::group::Group;
pub use crate::wire::id::Id;
pub use crate::wire::info::{InfoError, MAX_INFO_BYTES, info};
pub use crate::wire::json::parse as parse_json;
pub use crate::wire::offset::{Offset, ParseOffsetError};
pub use crate::wire::time::{millis, now, rfc3339};
pub use hyper::StatusCode;
