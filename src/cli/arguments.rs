//! The arguments: the settings, or a command instead of serving.

use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::{Arg, CommandFactory, FromArgMatches, Parser};

use super::{Command, usage};
use crate::config::Config;

/// How the variables of the settings begin.
const VARIABLE_PREFIX: &str = "PARLOR_";
/// Variables that hold a secret and are no argument's: the arguments name its file.
const SECRET_VARIABLES: [&str; 4] =
    ["PARLOR_SECRET", "PARLOR_TOKEN_KEY", "PARLOR_OPERATOR_PASSWORD", "PARLOR_PASSWORD"];

/// What the process is called with.
#[derive(Clone, Debug, Parser)]
#[command(version, about = "", max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The settings.
    #[command(flatten)]
    pub(crate) config: Config,
}

/// Why nothing is served.
pub(crate) enum Stop {
    /// What `--help` and `--version` print.
    Text(String),
    /// One line: the setting, what came and what was expected.
    Error(String),
}

/// Makes an argument ignore its variable if that is set and empty.
fn without_empty_variable(argument: Arg) -> Arg {
    let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if is_empty { argument.env(Resettable::Reset) } else { argument }
}

impl Arguments {
    /// Returns the variables of the environment that begin as settings do and are none, sorted.
    pub(crate) fn unknown_variables() -> Vec<String> {
        let command = Self::command();
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

    /// Reads the process's arguments and environment; `about` heads the help.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) fn read(about: &'static str) -> Result<Self, Stop> {
        let command = Self::command().about(about).mut_args(without_empty_variable);
        let matches = command.try_get_matches();
        let read = matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| {
            if error.use_stderr() {
                Stop::Error(usage::line(&error, &Self::command()))
            } else {
                Stop::Text(error.render().to_string())
            }
        });
        let mut arguments = read?;
        // A command serves nobody, and has no use for them.
        if arguments.command.is_none() {
            arguments.config.read_secrets().map_err(Stop::Error)?;
        }
        Ok(arguments)
    }
}
