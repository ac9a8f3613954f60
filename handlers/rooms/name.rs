//! A room's name: one rule for page, sockets and push.

use parlor::{Context, Denied, Reason};

use crate::namespace::Options;
use crate::room_name::{RULE, normal};
use crate::settings::Settings;

/// What is before the users who alone may enter a room, in its name: `#42`, `team#42,43`.
pub(crate) const USERS: char = '#';
/// What the name of a room begins with that clients enter with a token for it: `$deals`.
const TOKEN: char = '$';
/// The longest list of such users, in bytes.
const MAX_USERS_BYTES: usize = 255;

/// The name of a room, in Unicode's normal form C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a name, which may begin with a namespace.
    ///
    /// # Errors
    /// Returns [`Denied::BadName`] for an invalid name.
    pub(crate) fn parse(context: &Context, text: &str) -> Result<Self, Denied> {
        let settings = context.settings::<Settings>();
        let max = settings.max_name_chars;
        let spaced = text.split_once(':').filter(|(space, _)| settings.namespace(space).is_some());
        let name = match spaced {
            Some((space, name)) if !space.is_empty() => {
                normal(name, max).map(|name| format!("{space}:{name}"))
            }
            _ => normal(text, max),
        };
        name.map(Self).ok_or_else(|| {
            let detail = format!("`room`: expected 1 to {max} {RULE}");
            Denied::BadName(Reason::new(detail).message_key("rule").message_value("max", max.to_string()))
        })
    }

    /// Parses the name of any room but a private chat.
    ///
    /// # Errors
    /// Returns [`Denied::BadName`] for an invalid name.
    pub(crate) fn parse_any(context: &Context, text: &str) -> Result<Self, Denied> {
        if let Some((name, users)) = text.split_once(USERS) {
            Self::parse_with_users(context, name, users)
        } else if let Some(rest) = text.strip_prefix(TOKEN) {
            Ok(Self(format!("{TOKEN}{}", Self::parse(context, rest)?.0)))
        } else {
            Self::parse(context, text)
        }
    }

    /// Returns the users who alone may enter the room, if it names any.
    pub(crate) fn users(&self) -> Option<&str> {
        Some(self.0.split_once(USERS)?.1)
    }

    /// See [`is_limited`].
    pub(crate) fn is_limited(&self) -> bool {
        is_limited(&self.0)
    }

    fn parse_with_users(context: &Context, name: &str, users: &str) -> Result<Self, Denied> {
        let is_list =
            !users.is_empty() && users.len() <= MAX_USERS_BYTES && !users.contains(char::is_control);
        let name = match (is_list, name) {
            // Names have no such sign: the error says what they have.
            (false, _) => return Self::parse(context, &format!("{name}{USERS}")),
            (true, "") => String::new(),
            (true, name) => Self::parse(context, name)?.into(),
        };
        Ok(Self(format!("{name}{USERS}{users}")))
    }
}

/// Returns whether the name of a room says who may enter it: users, or the bearers of a token.
pub(crate) fn is_limited(name: &str) -> bool {
    is_by_token(name) || name.contains(USERS)
}

/// Returns whether clients enter the room of this name with a token for it.
pub(crate) fn is_by_token(name: &str) -> bool {
    name.starts_with(TOKEN)
}

/// Returns whether the name of a room, without users, begins with that of a namespace. No other
/// name has a colon.
pub(crate) fn is_in_namespace(name: &str) -> bool {
    name.contains(':')
}

/// Returns whether a user can be named in the name of a room.
pub(crate) fn is_listable(user: &str) -> bool {
    user.len() < MAX_USERS_BYTES && !user.contains(|char: char| char == ',' || char.is_control())
}

/// Returns the options of the room of this name.
pub(crate) fn options(context: &Context, name: &str) -> Options {
    let settings = context.settings::<Settings>();
    // Users may be called by any text, also one with a colon.
    let name = name.split(USERS).next().unwrap_or_default();
    let space = name.strip_prefix(TOKEN).unwrap_or(name).split_once(':').map_or("", |(space, _)| space);
    settings.namespace(space).map(|namespace| namespace.options.clone()).unwrap_or_default()
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}
