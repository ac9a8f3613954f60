//! The settings that the application adds to those of the runtime.

use std::str::FromStr;

use clap::Args;
use parlor::parsers::positive;

use crate::namespace::{Namespace, Namespaces};
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
    /// Options of the rooms whose names begin with NAME and a colon; without NAME, of all others:
    /// `news:presence,history_size=100;:join_leave`
    #[arg(long, value_name = "NAME:OPTIONS", value_parser = Namespaces::from_str)]
    namespaces: Option<Namespaces>,
    /// Subscribe each user that connects by Centrifugo's protocol to a channel of its own, `#USER`
    #[arg(long)]
    pub(crate) personal_channels: bool,
}

impl Settings {
    /// Returns the namespace of this name.
    pub(crate) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.as_ref()?.find(name)
    }

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
