//! Disconnect commands, the decisions that all nodes share: each closes the matching sockets.

use serde::{Deserialize, Serialize};

use crate::wire::close::{Close, CloseCode};
use crate::wire::group::Group;

/// Closes the sockets that match all given members; without a member, none.
///
/// In Redis it is JSON in the log of decisions. A command with an unknown member is dropped: the
/// node would close more sockets than the sender meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disconnect {
    /// The sockets of this user, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The sockets that were opened under this login, by its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The sockets that are subscribed to this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The id of a change of rights that this announces: the matching sockets are not closed, but
    /// asked again some seconds later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announces: Option<String>,
    /// The close code: one of RFC 6455, section 7.4, or of 3000 to 4999.
    pub code: u16,
    /// The close reason. A close frame has at most 123 bytes of it.
    pub reason: String,
}

impl Disconnect {
    /// Parses a command from Redis; `None` if it is malformed.
    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().filter(Self::is_sound)
    }

    /// Returns the command for a user whose identity has changed: its sockets reconnect at once,
    /// and lose nothing.
    pub(crate) fn renewal(user: &str) -> Self {
        let reason = "who you are has changed: connect again".to_owned();
        Self {
            user: Some(user.to_owned()),
            code: CloseCode::ServiceRestart.number(),
            reason,
            ..Self::default()
        }
    }

    /// Returns the command for the sockets of a user, in one group or in all.
    pub fn of_user(user: &str, group: Option<&Group>, code: CloseCode, reason: &str) -> Self {
        Self {
            user: Some(user.to_owned()),
            group: group.map(|group| group.name().to_owned()),
            code: code.number(),
            reason: reason.to_owned(),
            ..Self::default()
        }
    }

    /// Returns the command for the sockets of a group.
    pub fn of_group(group: &Group, code: CloseCode, reason: &str) -> Self {
        let group = Some(group.name().to_owned());
        Self { group, code: code.number(), reason: reason.to_owned(), ..Self::default() }
    }

    /// Returns the command for a revoked API key: its sockets close.
    pub(crate) fn revocation(key: &str) -> Self {
        let reason = "this key is revoked".to_owned();
        Self { user: Some(key.to_owned()), code: CloseCode::LoginEnded.number(), reason, ..Self::default() }
    }

    /// Returns the announcement of this command, for the change with this id.
    pub(crate) fn announcement(&self, change: &str) -> Self {
        Self { announces: Some(change.to_owned()), ..self.clone() }
    }

    /// Returns whether a close frame may carry its code.
    fn is_sound(&self) -> bool {
        Close::is_sendable(self.code)
    }

    /// Returns whether it matches a socket of this user, under this login, in this group.
    pub(crate) fn matches(&self, user: Option<&str>, login: Option<&str>, group: Option<&str>) -> bool {
        let wanted = [(&self.user, user), (&self.login, login), (&self.group, group)];
        let mut given = wanted.iter().filter(|(wanted, _)| wanted.is_some()).peekable();
        given.peek().is_some() && given.all(|(wanted, has)| wanted.as_deref() == *has)
    }

    /// Returns how to close the matching sockets. Those that register only after the others of an
    /// announcement were asked cannot be asked in time: their clients connect again.
    pub(crate) fn close(&self) -> Close {
        if self.announces.is_some() {
            return Close::new(CloseCode::ServiceRestart, "what you enter is changing: connect again");
        }
        // A line break in an event stream would start another field.
        Close::foreign(self.code, self.reason.replace(char::is_control, " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_matches_sockets_that_have_all_of_its_members() {
        let command = |user: &str, login: &str, group: &str| {
            let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Disconnect {
                user: given(user),
                login: given(login),
                group: given(group),
                ..Disconnect::default()
            }
        };
        for (command, expected) in [
            (command("ann", "", ""), true),
            (command("", "", "g"), true),
            (command("ann", "l", "g"), true),
            (command("bob", "", "g"), false),
            (command("ann", "", "h"), false),
            (command("ann", "m", ""), false),
            (command("", "", ""), false),
        ] {
            assert_eq!(command.matches(Some("ann"), Some("l"), Some("g")), expected, "{command:?}");
        }
        assert!(!command("", "l", "").matches(Some("ann"), None, None));
    }

    #[test]
    fn a_command_with_unknown_members_is_dropped() {
        let read = |json: &str| Disconnect::decode(json.as_bytes());
        let expected = Disconnect { group: Some("g".to_owned()), code: 4403, ..Disconnect::default() };
        assert_eq!(read(r#"{"group":"g","code":4403,"reason":""}"#), Some(expected));
        for wrong in [
            "",
            "[]",
            r#"{"group":"g","reason":""}"#,
            r#"{"group":"g","code":1005,"reason":""}"#,
            r#"{"group":"g","code":1014,"reason":""}"#,
            r#"{"group":"g","code":70000,"reason":""}"#,
            r#"{"group":"g","code":4403,"reason":"","address":"127.0.0.1"}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
