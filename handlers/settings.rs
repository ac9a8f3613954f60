//! The settings that the application adds to those of the runtime.

use clap::Args;
use parlor::parsers::positive;

/// The settings of rooms.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rooms")]
pub(crate) struct Settings {
    /// Longest name, in characters
    #[arg(long, value_name = "CHARS", default_value = "64", value_parser = positive)]
    pub(crate) max_name_chars: usize,
}
