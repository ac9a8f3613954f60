//! The settings that the application adds to those of the runtime.

use clap::Args;
use parlor::parsers::positive;

use crate::room_name::{RULE, normal};

/// The settings of rooms.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rooms")]
pub(crate) struct Settings {
    /// Longest name, in characters
    #[arg(long, value_name = "CHARS", default_value = "64", value_parser = positive)]
    pub(crate) max_name_chars: usize,
    /// Names that no user can make private, separated by commas
    #[arg(long, value_name = "NAMES", default_value = "lobby", value_delimiter = ',', value_parser = public_room)]
    public_rooms: Vec<String>,
}

impl Settings {
    /// Returns whether no user can make this name, in normal form C, private.
    pub(crate) fn is_public(&self, name: &str) -> bool {
        self.public_rooms.iter().any(|public| public == name)
    }
}

/// Parses a name of any length, as it is in normal form; an empty one, which is no room's.
fn public_room(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    normal(text, usize::MAX).ok_or_else(|| format!("expected names of rooms: {RULE}"))
}
