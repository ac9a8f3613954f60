//! Namespaces: options of the rooms whose names begin alike.
//!
//! The name of a room may begin with the name of a namespace and `:`, as in `news:today`. The
//! options of the namespace without a name are those of all other rooms. Options have the names
//! that Centrifugo gives them.

use std::str::FromStr;
use std::time::Duration;

use parlor::ConnectionList;
use parlor::parsers::boolean;

/// Names that groups of other kinds begin with.
const RESERVED: [&str; 5] = ["chat", "dm", "inbox", "parlor", "push"];
/// The longest name of a namespace, in bytes.
const MAX_NAME_BYTES: usize = 32;

/// A namespace, or without a name the options of all rooms that are in none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) options: Options,
}

/// Namespaces with distinct names.
#[derive(Clone, Debug)]
pub(crate) struct Namespaces(Vec<Namespace>);

impl Namespaces {
    /// Returns the namespace of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Namespace> {
        self.0.iter().find(|namespace| namespace.name == name)
    }
}

impl FromStr for Namespaces {
    type Err = String;

    /// Parses [namespaces](Namespace) with semicolons between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self(Vec::new());
        for namespace in text.split(';') {
            let namespace: Namespace = namespace.parse()?;
            if all.find(&namespace.name).is_some() {
                return Err(format!("expected the options of {:?} once", namespace.name));
            }
            all.0.push(namespace);
        }
        Ok(all)
    }
}

/// The options of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "an operator sets each alone")]
pub(crate) struct Options {
    /// The newest messages that clients may read, at most.
    pub(crate) history_size: Option<u32>,
    /// The age of the messages that clients may read, at most.
    pub(crate) history_ttl: Option<Duration>,
    /// Whether connections are listed.
    presence: bool,
    /// Whether their joins and leaves are sent to clients that wish it.
    join_leave: bool,
    /// Whether they are sent to all clients.
    force_push_join_leave: bool,
    /// Whether members may publish.
    pub(crate) allow_publish_for_subscriber: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history_size: None,
            history_ttl: None,
            presence: false,
            join_leave: false,
            force_push_join_leave: false,
            allow_publish_for_subscriber: true,
        }
    }
}

impl Options {
    /// Returns whether connections are known.
    pub(crate) fn connections(&self) -> ConnectionList {
        match (self.join_leave, self.force_push_join_leave, self.presence) {
            (true, true, _) => ConnectionList::AnnouncedToAll,
            (true, false, _) => ConnectionList::Announced,
            (false, _, true) => ConnectionList::Listed,
            (false, _, false) => ConnectionList::None,
        }
    }

    /// Returns whether connections are listed.
    pub(crate) fn lists_connections(&self) -> bool {
        self.connections() != ConnectionList::None
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let flag = || match value {
            "" => Ok(true),
            _ => boolean(value).map_err(|expected| format!("`{name}`: {expected}, got {value:?}")),
        };
        match name {
            "history_size" => {
                let size = value.parse().ok().filter(|size| *size > 0);
                self.history_size = Some(size.ok_or_else(|| format!("`{name}`: expected a number above 0"))?);
            }
            "history_ttl" => {
                let seconds = value.strip_suffix('s').unwrap_or(value).parse().ok().filter(|time| *time > 0);
                let seconds = seconds.ok_or_else(|| format!("`{name}`: expected seconds, as 300s"))?;
                self.history_ttl = Some(Duration::from_secs(seconds));
            }
            "presence" => self.presence = flag()?,
            "join_leave" => self.join_leave = flag()?,
            "force_push_join_leave" => self.force_push_join_leave = flag()?,
            "allow_publish_for_subscriber" => self.allow_publish_for_subscriber = flag()?,
            _ => return Err(format!("`{name}`: expected an option of a namespace: {NAMES}")),
        }
        Ok(())
    }
}

const NAMES: &str = "history_size, history_ttl, presence, join_leave, force_push_join_leave or \
                     allow_publish_for_subscriber";

impl FromStr for Namespace {
    type Err = String;

    /// Parses `NAME:OPTION,OPTION=VALUE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.len() > MAX_NAME_BYTES || !name.bytes().all(is_name) {
            return Err(format!(
                "expected up to {MAX_NAME_BYTES} ASCII letters, digits, `-` or `_`, got {name:?}"
            ));
        }
        if RESERVED.contains(&name) {
            return Err(format!("`{name}` is reserved: expected another name"));
        }
        let mut namespace = Self { name: name.to_owned(), ..Self::default() };
        for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            let (option, value) = option.split_once('=').unwrap_or((option, ""));
            namespace.options.set(option.trim(), value.trim())?;
        }
        Ok(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_its_name_and_its_options() {
        let small: Namespace = "small:history_size=2, history_ttl=300s,presence".parse().unwrap();
        assert_eq!((&*small.name, small.options.history_size), ("small", Some(2)));
        assert_eq!(small.options.history_ttl, Some(Duration::from_mins(5)));
        assert_eq!(small.options.connections(), ConnectionList::Listed);
        assert!(small.options.allow_publish_for_subscriber);
        let rest: Namespace =
            ":join_leave,force_push_join_leave=on,allow_publish_for_subscriber=off".parse().unwrap();
        assert_eq!((&*rest.name, rest.options.connections()), ("", ConnectionList::AnnouncedToAll));
        assert!(!rest.options.allow_publish_for_subscriber);
        assert_eq!("news".parse(), Ok(Namespace { name: "news".to_owned(), ..Namespace::default() }));
    }

    #[test]
    fn each_namespace_is_there_once() {
        let all: Namespaces = "a:presence; b;:join_leave".parse().unwrap();
        let found = ["a", "b", "", "c"].map(|name| all.find(name).is_some());
        assert_eq!(found, [true, true, true, false]);
        for text in ["a:presence;a:join_leave", ";", "a;b; a"] {
            let error = text.parse::<Namespaces>().unwrap_err();
            assert!(error.contains("once"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_namespace_is_refused_in_words() {
        for (text, expected) in [
            ("dm:presence", "reserved"),
            ("a b", "ASCII letters"),
            ("a:history_size=0", "above 0"),
            ("a:history_ttl=5m", "seconds"),
            ("a:presence=maybe", "on or off"),
            ("a:delta", "expected an option"),
        ] {
            let error = text.parse::<Namespace>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
