//! A group: the name under which the layer delivers, and under which sockets gather.

use std::fmt;
use std::sync::Arc;

/// The prefix of groups of connections. No other group's name begins so.
const CONNECTIONS: &str = "parlor:connections:";

/// A group's name, cheap to clone.
///
/// Handlers make it from text that they have checked; the layer puts it into Redis keys and channel
/// names as it is, never into patterns or scripts.
///
/// # Examples
/// ```
/// use parlor::Group;
///
/// let hall = Group::new("notes_hall");
/// assert_eq!(hall.name(), "notes_hall");
/// assert_eq!(format!("asgi__group__{hall}"), "asgi__group__notes_hall");
/// assert_eq!(hall, hall.clone());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(Arc<str>);

impl Group {
    /// The group of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Returns the group of the connections that are in this one: its members are connections, each
    /// as its id, `/` and its user.
    pub(crate) fn connections(&self) -> Self {
        Self(format!("{CONNECTIONS}{self}").into())
    }

    /// Returns whether the members of the group of this name are connections.
    pub(crate) fn is_of_connections(name: &str) -> bool {
        name.starts_with(CONNECTIONS)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Group {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}
