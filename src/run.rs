//! Start-up: arguments, log, runtime, node, signals.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::app::Application;
use crate::cli::arguments::{Arguments, Stop};
use crate::config::{Config, REDIS_PASSWORD};
use crate::http::context::Context;
use crate::layer::Control;
use crate::realtime::drain;
use crate::server::listener::Listener;
use crate::server::stage::Stage;
use crate::server::state::State;
use crate::start_error::StartError;
use crate::telemetry;
use crate::telemetry::Chain;
use crate::watchdog;
use crate::wire::close::CloseCode;
use crate::{node, operator};

/// The exit code of a usage error, which another start does not mend.
const USAGE_ERROR: u8 = 2;
/// The exit code of a start that may succeed later (`EX_TEMPFAIL` of sysexits.h).
const TRY_AGAIN: u8 = 75;
/// How long open sockets and requests may take to end before they are cut off.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);
/// A node that shuts down serves until no request came for this long: by then a load balancer has
/// seen that it is not ready.
const QUIET_PERIOD: Duration = Duration::from_secs(1);
/// The same once the node accepts no connections any more: what a load balancer has sent before it
/// noticed has arrived by then.
const LAST_REQUEST_PERIOD: Duration = Duration::from_millis(500);

/// Runs a node of this application until SIGTERM or SIGINT.
pub fn run(application: Application) -> ExitCode {
    let arguments = match Arguments::read(&application) {
        Ok(arguments) => arguments,
        Err(Stop::Text(text)) => {
            let _ = write!(std::io::stdout(), "{text}"); // the pipe may be closed
            return ExitCode::SUCCESS;
        }
        Err(Stop::Error(line)) => {
            Arguments::log_format_of(&application).print_failure(application.name, &line);
            return ExitCode::from(USAGE_ERROR);
        }
    };
    let mut config = arguments.config;
    if let Err(error) = config.read_redis_files() {
        config.log_format.print_failure(application.name, &Chain(&error).to_string());
        return ExitCode::from(USAGE_ERROR);
    }
    if let Some(command) = &arguments.command {
        return match command.run(&config, &application) {
            Ok(text) => {
                let _ = write!(std::io::stdout(), "{text}"); // the pipe may be closed
                ExitCode::SUCCESS
            }
            Err(line) => {
                config.log_format.print_failure(application.name, &line);
                ExitCode::from(USAGE_ERROR)
            }
        };
    }
    let format = config.log_format;
    telemetry::init(config.log_filter(), format);
    match start(config, application) {
        Ok(code) => code,
        Err(error) => {
            let code = if error.is_temporary() { TRY_AGAIN } else { USAGE_ERROR };
            format.print_failure(application.name, &Chain(&error).to_string());
            ExitCode::from(code)
        }
    }
}

fn start(mut config: Config, application: Application) -> Result<ExitCode, StartError> {
    config.read_secrets()?;
    // Worker threads wake each other, which costs more than the handling of a small message.
    let runtime = match config.threads {
        1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    let runtime = runtime.map_err(StartError::Threads)?;
    let ended = runtime.block_on(serve(config, application));
    runtime.shutdown_background(); // a name that is still being looked up is not waited for
    ended
}

async fn serve(config: Config, application: Application) -> Result<ExitCode, StartError> {
    let terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    ignore_signals().map_err(StartError::Signals)?;
    let grace = Duration::from_secs(config.drain_seconds.into());
    let state = node::build(config, application).await?;
    operator::make_operator(&state.context).await?;
    let server = Listener::bind(Arc::clone(&state))?;
    watchdog::start();
    announce(&state.context, &application, server.max_connections());
    for address in server.addresses() {
        state.context.config().log_format.print_address(application.name, address);
    }
    // SIGTERM drains; a second signal, or SIGINT, ends at once.
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
    Ok(serve_until(&state, server, signal(grace), hurry).await)
}

/// Ignores signals that other servers take for "read your files again" and that would end the
/// process: a closed terminal and a rotated log send them, too.
fn ignore_signals() -> std::io::Result<()> {
    let ignored = [
        (SignalKind::hangup(), "SIGHUP"),
        (SignalKind::user_defined1(), "SIGUSR1"),
        (SignalKind::user_defined2(), "SIGUSR2"),
    ];
    for (kind, name) in ignored {
        let mut signals = signal(kind)?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                info!(signal = name, "signal ignored: settings and files are read at the start only");
            }
        });
    }
    Ok(())
}

/// Serves until `stop` yields the grace period, or a part of the node fails; then shuts down in
/// phases: no new sockets, the end of those that are open, no new connections, the requests, the
/// layer. Pages and probes are served until the sockets are closed and load balancers send no more
/// requests, at most for the grace period; then on the connections that are open. `hurry` ends it
/// at once.
async fn serve_until(
    state: &State,
    listener: Listener,
    stop: impl Future<Output = Duration>,
    hurry: impl Future<Output = ()>,
) -> ExitCode {
    let listening = listener.serve();
    let realtime = Arc::clone(&state.realtime);
    let mut hub = tokio::spawn(async move { realtime.hub().run().await });
    let (code, grace) = tokio::select! {
        _ = async { tokio::join!(state.realtime.keepalive(), state.realtime.move_clients_on()) } => {
            (ExitCode::FAILURE, Duration::ZERO)
        }
        _ = &mut hub => {
            error!("the hub has failed: this node ends");
            (ExitCode::FAILURE, Duration::ZERO)
        }
        () = state.context.layer().failed() => {
            error!("the layer has failed: this node ends");
            (ExitCode::FAILURE, Duration::ZERO)
        }
        grace = stop => (ExitCode::SUCCESS, grace),
    };
    info!(seconds = grace.as_secs(), "draining: disconnecting sockets");
    state.realtime.end();
    let (sockets, restart) = (state.realtime.hub().sockets(), CloseCode::ServiceRestart.into());
    let away = async {
        let quiet = async |period: Duration| {
            sleep(period).await; // something has just changed that load balancers have to notice
            while let Some(rest) = period.checked_sub(state.context.since_request()) {
                sleep(rest).await;
            }
        };
        let _ = tokio::join!(drain::run(sockets, grace, &restart), timeout(grace, quiet(QUIET_PERIOD)));
        listening.send_replace(Stage::Refusing);
        let _ = timeout(QUIET_PERIOD, quiet(LAST_REQUEST_PERIOD)).await;
    };
    tokio::select! {
        () = away => {}
        () = state.realtime.keepalive() => {}
        () = hurry => info!("ending at once"),
    }
    listening.send_replace(Stage::Ending);
    for socket in state.realtime.hub().sockets() {
        socket.close(&restart);
    }
    if timeout(SHUTDOWN_TIMEOUT, state.context.finish()).await.is_err() {
        warn!("some connections did not end in time and were cut off");
    }
    state.context.layer().close().await;
    code
}

/// Logs the effective settings, and variables that look like settings but are none.
fn announce(context: &Context, application: &Application, max_connections: usize) {
    let config = context.config();
    let layer = config
        .redis_address()
        .map_or_else(|| "memory: this node stands alone".to_owned(), |address| format!("redis: {address}"));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        layer,
        threads = config.threads,
        max_connections,
        hosts = listed(&config.network.allowed_hosts, "addresses and localhost"),
        proxies = listed(&config.network.trusted_proxies, "none"),
        "starting"
    );
    if Arguments::shows_password() {
        warn!(
            "the command line shows the password of Redis to all users of this machine: set {} or REDIS_URL \
             in the environment instead",
            REDIS_PASSWORD
        );
    }
    for name in Arguments::unknown_variables(application) {
        warn!(name, "unknown environment variable: it is not a setting");
    }
}

/// Joins the values of a setting; `otherwise` if there are none.
fn listed(values: &[impl ToString], otherwise: &str) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    if values.is_empty() { otherwise.to_owned() } else { values.join(",") }
}
