//! The command line: settings, and an optional command.

use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser};

use super::usage;
use crate::app::Application;
use crate::config::Config;

/// The prefix of the variables of settings.
const VARIABLE_PREFIX: &str = "PARLOR_";
/// Variables that hold a secret. The command line only takes the file.
const SECRET_VARIABLES: [&str; 4] =
    ["PARLOR_SECRET", "PARLOR_TOKEN_KEY", "PARLOR_OPERATOR_PASSWORD", "PARLOR_PASSWORD"];

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

/// Why the process ends before it serves.
pub(crate) enum Stop {
    /// The text of `--help` or `--version`.
    Text(String),
    /// One line: the setting, the value and what was expected.
    Error(String),
}

/// Makes an argument ignore its variable if that is set and empty.
fn without_empty_variable(argument: Arg) -> Arg {
    let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if is_empty { argument.env(Resettable::Reset) } else { argument }
}

impl Arguments {
    /// Returns the command line of an application: the runtime's settings and its own.
    fn command_of(application: &Application) -> Command {
        application.settings.augment(Self::command()).about(application.about)
    }

    /// Returns the variables that look like settings but are none, sorted.
    pub(crate) fn unknown_variables(application: &Application) -> Vec<String> {
        let command = Self::command_of(application);
        let settings: Vec<&OsStr> = command.get_arguments().filter_map(Arg::get_env).collect();
        let names = std::env::vars_os().map(|(name, _)| name);
        let unknown = names.filter(|name| {
            name.as_encoded_bytes().starts_with(VARIABLE_PREFIX.as_bytes())
                && !settings.contains(&name.as_os_str())
                && !SECRET_VARIABLES.iter().any(|known| name == known)
        });
        let mut unknown: Vec<String> = unknown.map(|name| name.to_string_lossy().into_owned()).collect();
        unknown.sort();
        unknown
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
