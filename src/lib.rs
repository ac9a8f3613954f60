//! Parlor's runtime: HTTP, WebSocket and Redis for an application that is written as stateless
//! functions. It knows no application; `handlers/` is one.
//!
//! How a message walks; every arrow is one call, but that the hub and the line to Redis take turns:
//!
//! ```text
//! browser -> stream -> reader -> Consumer::receive -> Subscription::append -> layer -> Redis: log and publish
//! browser <- stream <- outbox <- fan <- Consumer::event <- hub's turn <- layer <- Redis, to each node
//! ```
//!
//! The modules, in five groups:

pub mod http;
pub(crate) mod operator;
pub mod realtime;
pub mod server;
pub mod wire;

// The node: what is started, with what, and how it ends.
mod app;
mod cli;
pub mod config;
mod node;
mod telemetry;
mod watchdog;

// HTTP: from a connection to a handler and back.

// The network: who comes, from where, how often.
pub mod auth;
mod limits;

// WebSocket: from the handshake to the last frame.

// What must hold of all foreign bytes; for `fuzz/` and the tests.
#[cfg(any(test, fuzzing))]
pub mod fuzzing;

// What nodes share.
pub mod layer;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

pub use crate::app::Application;
pub use crate::auth::{Identity, Role};
pub use crate::http::context::Context;
pub use crate::http::request::Request;
pub use crate::layer::Appended;
pub use crate::realtime::consumer::{Action, Consumer, Interval};
pub use crate::realtime::subscription::Subscription;
pub use crate::realtime::welcome::{StartPosition, Welcome};
pub use crate::server::guards::{Csrf, Rate, Who};
pub use crate::server::route::{Answer, Endpoint, Handler, Route, Slash};
pub use crate::telemetry::METRICS;
pub use crate::wire::event::Event;
pub use crate::wire::frame::{Close, Frame};
pub use crate::wire::group::Group;
pub use crate::wire::id::Id;

use crate::cli::arguments::{Arguments, Stop};
use crate::config::Config;
use crate::wire::error::StartError;

/// Exit code of a start that failed, as for any command that was called wrongly.
const START_FAILED: u8 = 2;

/// Runs a node of this application until SIGTERM or SIGINT: the whole of `main`.
pub fn run(application: Application) -> ExitCode {
    let arguments = match Arguments::read(application.about) {
        Ok(arguments) => arguments,
        Err(Stop::Text(text)) => {
            let _ = write!(std::io::stdout(), "{text}"); // whoever reads it may have seen enough
            return ExitCode::SUCCESS;
        }
        Err(Stop::Error(line)) => return failed(&line),
    };
    let config = arguments.config;
    if let Some(command) = &arguments.command {
        return match command.run(&config, &application) {
            Ok(text) => {
                let _ = write!(std::io::stdout(), "{text}"); // whoever reads it may have seen enough
                ExitCode::SUCCESS
            }
            Err(line) => failed(&line),
        };
    }
    telemetry::init(config.log_filter(), config.log_format);
    // Threads that share the work wake each other, which costs more than a small message's whole way.
    let runtime = match config.threads {
        1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    let started = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(serve(config, application));
            runtime.shutdown_background(); // a name that is still being looked up is not waited for
            ended
        }
        Err(error) => Err(StartError::new("could not start threads").because(error)),
    };
    match started {
        Ok(code) => code,
        Err(error) => failed(&telemetry::Chain(&error).to_string()),
    }
}

async fn serve(config: Config, application: Application) -> Result<ExitCode, StartError> {
    let no_signals = |error| StartError::new("could not listen for signals").because(error);
    let terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let grace = Duration::from_secs(config.drain_seconds.into());
    let running = server::state::State::new(config, application).await?;
    running.context.make_operator().await?;
    let server = server::listener::Listener::bind(running)?;
    watchdog::start();
    for address in server.addresses() {
        let _ = writeln!(std::io::stdout(), "listening on http://{address}"); // nobody may be reading
    }
    // The first signal says how much time there is, the second that there is none.
    let signals = tokio::sync::Mutex::new((terminate, interrupt));
    let signal = async |grace: Duration| {
        let mut signals = signals.lock().await;
        let (terminate, interrupt) = &mut *signals;
        tokio::select! {
            _ = terminate.recv() => grace,
            _ = interrupt.recv() => Duration::ZERO,
        }
    };
    let hurry = async {
        signal(grace).await;
    };
    Ok(server.run(signal(grace), hurry).await)
}

fn failed(line: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "parlor: {line}"); // nobody may be reading
    ExitCode::from(START_FAILED)
}
