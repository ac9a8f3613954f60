//! The command line: settings, and an optional command.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser};

use super::{password, usage};
use crate::app::Application;
use crate::config::app_name::AppName;
use crate::config::secret::Source;
use crate::config::{Config, REDIS_PASSWORD, SENTINEL_PASSWORD};
use crate::config::{auth, setting, tokens};
use crate::telemetry::LogFormat;

/// The command line of the process.
#[derive(Clone, Debug, Parser)]
#[command(version, about = "", max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// The command to run instead of the server
    #[command(subcommand)]
    pub(crate) command: Option<super::Command>,

    /// The settings
    #[command(flatten)]
    pub(crate) config: Config,
}

const LOG_FORMAT: &str = "--log-format";

/// Why the process ends before it serves.
pub(crate) enum Stop {
    /// The text of `--help` or `--version`.
    Text(String),
    /// One line: the setting, the value and what was expected.
    Error(String),
}

/// Replaces `{name}` and `{NAME}` by the application's name in the texts of a command and of its
/// subcommands.
fn with_names(command: Command, name: AppName) -> Command {
    let (lower, upper) = (name.as_str(), name.as_str().to_ascii_uppercase());
    let fill = |text: &str| text.replace("{name}", lower).replace("{NAME}", &upper);
    let command = match command.get_about().map(ToString::to_string) {
        Some(about) => command.about(fill(&about)),
        None => command,
    };
    let command = command.mut_args(|argument| match argument.get_help().map(ToString::to_string) {
        Some(help) => argument.help(fill(&help)),
        None => argument,
    });
    command.mut_subcommands(|command| with_names(command, name))
}

/// Gives a setting the variable made of its flag, unless it names one.
fn with_variable(argument: Arg) -> Arg {
    match argument.get_long() {
        Some(flag) if argument.get_env().is_none() => {
            let variable = OsString::from(setting::variable(flag));
            argument.env(variable)
        }
        _ => argument,
    }
}

/// Makes an argument ignore its variable if that is set and empty.
fn without_empty_variable(argument: Arg) -> Arg {
    let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if is_empty { argument.env(Resettable::Reset) } else { argument }
}

/// Returns whether Kubernetes sets a variable for a Service, as `PARLOR_SERVICE_HOST` and
/// `PARLOR_PORT_8000_TCP` for one called parlor.
fn is_of_service(name: &str, value: &str) -> bool {
    let mut words = name.rsplit('_').peekable();
    words.next_if(|word| matches!(*word, "ADDR" | "PROTO" | "PORT"));
    let is_port_of_protocol = words.next_if(|word| matches!(*word, "TCP" | "UDP" | "SCTP")).is_some()
        && words.next().is_some_and(|number| number.parse::<u16>().is_ok())
        && words.next() == Some("PORT");
    is_port_of_protocol
        || name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
}

impl Arguments {
    /// Returns the command line of an application: the runtime's settings and its own.
    fn command_of(application: &Application) -> Command {
        let name = application.app_name();
        setting::name_variables_after(name);
        let command = application.settings.augment(Self::command()).name(name.as_str());
        with_names(command.about(application.about), name).mut_args(with_variable)
    }

    /// Returns the variables that look like settings but are none, sorted.
    pub(crate) fn unknown_variables(application: &Application) -> Vec<String> {
        let command = Self::command_of(application);
        let settings: Vec<&OsStr> = command.get_arguments().filter_map(Arg::get_env).collect();
        // The command line only takes the files of secrets.
        let secrets = [auth::SECRET, auth::OPERATOR, tokens::KEY, REDIS_PASSWORD, SENTINEL_PASSWORD]
            .map(Source::variable);
        let password = setting::variable(password::VARIABLE);
        let prefix = setting::variable("");
        let unknown = std::env::vars_os().filter(|(name, value)| {
            name.as_encoded_bytes().starts_with(prefix.as_bytes())
                && !settings.contains(&name.as_os_str())
                && !secrets.iter().chain([&password]).any(|known| name == known.as_str())
                && !is_of_service(&name.to_string_lossy(), &value.to_string_lossy())
        });
        let mut unknown: Vec<String> = unknown.map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        unknown.sort();
        unknown
    }

    /// Returns whether the command line has a password in a URL, which all users of the machine can
    /// read.
    pub(crate) fn shows_password() -> bool {
        std::env::args_os().any(|word| {
            let word = word.to_string_lossy();
            let login = word.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
            let parameters = word.split_once("://").and_then(|(_, rest)| rest.split_once('?'));
            login.is_some_and(|(login, _)| login.contains(':'))
                || parameters.is_some_and(|(_, parameters)| parameters.contains("pass"))
        })
    }

    /// Returns the format in which to print that the arguments are invalid: the one that they, or
    /// the environment, name.
    pub(crate) fn log_format_of(application: &Application) -> LogFormat {
        let _ = Self::command_of(application); // names the variables
        let arguments: Vec<String> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let named = arguments.windows(2).any(|pair| pair == [LOG_FORMAT, "json"])
            || arguments.iter().any(|word| word.strip_prefix(LOG_FORMAT) == Some("=json"));
        let is_named =
            named || std::env::var(setting::variable(LOG_FORMAT)).is_ok_and(|format| format == "json");
        if is_named { LogFormat::Json } else { LogFormat::Text }
    }

    /// Parses the command line and the environment.
    ///
    /// # Errors
    /// Returns [`Stop`] for help, version and invalid settings.
    pub(crate) fn read(application: &Application) -> Result<Self, Stop> {
        let command = Self::command_of(application).mut_args(without_empty_variable);
        let matches = command.try_get_matches();
        let read = matches.and_then(|matches| {
            let mut arguments = Self::from_arg_matches(&matches)?;
            arguments.config.name = application.app_name();
            arguments.config.application = application.settings.read(&matches)?;
            Ok(arguments)
        });
        read.map_err(|error| {
            if error.use_stderr() {
                Stop::Error(usage::line(&error, &Self::command_of(application)))
            } else {
                Stop::Text(error.render().to_string())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_of_service;

    #[test]
    fn variables_of_kubernetes_services_are_no_settings() {
        for (name, value, is_one) in [
            ("PARLOR_SERVICE_HOST", "10.0.0.1", true),
            ("PARLOR_SERVICE_PORT", "8000", true),
            ("PARLOR_SERVICE_PORT_HTTP", "8000", true),
            ("PARLOR_PORT", "tcp://10.0.0.1:8000", true),
            ("PARLOR_PORT_8000_TCP", "tcp://10.0.0.1:8000", true),
            ("PARLOR_PORT_8000_TCP_ADDR", "10.0.0.1", true),
            ("PARLOR_PORT_8000_TCP_PORT", "8000", true),
            ("PARLOR_PORT_8000_UDP_PROTO", "udp", true),
            ("PARLOR_CACHE_SERVICE_HOST", "10.0.0.1", true),
            ("PARLOR_PORT", "8000", false),
            ("PARLOR_LISTN", "127.0.0.1:8000", false),
            ("PARLOR_TCP", "1", false),
        ] {
            assert_eq!(is_of_service(name, value), is_one, "{name}={value}");
        }
    }
}
