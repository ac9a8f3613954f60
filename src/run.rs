//! Start-up: arguments, log, threads, the node, the signals that stop it.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::Application;
use crate::cli::arguments::{Arguments, Stop};
use crate::config::Config;
use crate::server::listener::Listener;
use crate::server::state::State;
use crate::telemetry;
use crate::telemetry::Chain;
use crate::watchdog;
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
        Err(error) => failed(&Chain(&error).to_string()),
    }
}

async fn serve(config: Config, application: Application) -> Result<ExitCode, StartError> {
    let no_signals = |error| StartError::new("could not listen for signals").because(error);
    let terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let grace = Duration::from_secs(config.drain_seconds.into());
    let running = State::new(config, application).await?;
    running.context.make_operator().await?;
    let server = Listener::bind(running)?;
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
