//! A room's name: one rule for page, sockets and push.

use parlor::{Context, Denied, Reason};

use crate::room_name::{RULE, normal};
use crate::settings::Settings;

/// The name of a room, in Unicode's normal form C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a name.
    ///
    /// # Errors
    /// Returns [`Denied::BadName`] for an invalid name.
    pub(crate) fn parse(context: &Context, text: &str) -> Result<Self, Denied> {
        let max = context.settings::<Settings>().max_name_chars;
        normal(text, max).map(Self).ok_or_else(|| {
            let detail = format!("`room`: expected 1 to {max} {RULE}");
            Denied::BadName(Reason::new(detail).message_key("rule").message_value("max", max.to_string()))
        })
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}
