//! A group: the name under which the layer delivers, and under which sockets gather.

use std::fmt;
use std::sync::Arc;

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
