//! The arguments: the settings, or a command instead of serving.

use clap::{CommandFactory, FromArgMatches, Parser};

use super::{Command, usage};
use crate::config::Config;

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

impl Arguments {
    /// Reads the process's arguments and environment; `about` heads the help.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) fn read(about: &'static str) -> Result<Self, Stop> {
        let matches = Self::command().about(about).try_get_matches();
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
