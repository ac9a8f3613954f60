//! Instructions: what the connections of a user do, on every node.

use serde::{Deserialize, Serialize};

/// Changes the connections of a user whose clients have [connected](crate::Protocol::CONNECTS).
///
/// In Redis it is JSON in the log of decisions. One with an unknown member is dropped: the node
/// would do less than the sender meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instruction {
    /// The id of the user.
    pub user: String,
    /// The id of the connection, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What is changed.
    pub change: ConnectionChange,
}

/// What an [`Instruction`] changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConnectionChange {
    /// Joins a channel for the client, if its user may enter it.
    Subscribe {
        /// The [`STREAM`](crate::Channel::STREAM) of the channel.
        stream: String,
        /// The clients' name for the group.
        name: String,
        /// The epoch, or any, and the offset that messages follow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<(Option<u64>, u64)>,
        /// When the subscription expires, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<u64>,
        /// What other clients learn of the subscription, JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        info: Option<String>,
    },
    /// Moves the end of the token.
    Refresh {
        /// The end, in seconds since 1970; `None` for never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<u64>,
        /// What other clients learn of the connection from now on, JSON, if that changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        info: Option<String>,
    },
    /// Ends the connection as its token would.
    Expire,
}

impl Instruction {
    /// Returns whether a node that was away may miss it once many others have come: it does not
    /// end a connection.
    pub(crate) fn is_droppable(&self) -> bool {
        self.change != ConnectionChange::Expire
    }

    /// Parses an instruction from Redis; `None` if it is malformed.
    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_with_unknown_members_is_dropped() {
        let read = |json: &str| Instruction::decode(json.as_bytes());
        let expected = Instruction {
            user: "ann".to_owned(),
            client: None,
            change: ConnectionChange::Subscribe {
                stream: "chat".to_owned(),
                name: "lobby".to_owned(),
                since: Some((None, 7)),
                expires_at: None,
                info: Some("{}".to_owned()),
            },
        };
        let json = r#"{"user":"ann","change":{"subscribe":{"stream":"chat","name":"lobby","since":[null,7],"info":"{}"}}}"#;
        assert_eq!(read(json).as_ref(), Some(&expected));
        assert_eq!(serde_json::to_string(&expected).expect("JSON"), json);
        assert!(read(r#"{"user":"ann","change":"expire"}"#).is_some());
        assert!(read(r#"{"user":"ann","change":{"refresh":{}}}"#).is_some());
        for wrong in [
            "",
            "[]",
            r#"{"change":"expire"}"#,
            r#"{"user":"ann","change":"end"}"#,
            r#"{"user":"ann","change":"expire","address":"127.0.0.1"}"#,
            r#"{"user":"ann","change":{"subscribe":{"stream":"chat","name":"lobby","data":1}}}"#,
            r#"{"user":"ann","code":4403,"reason":""}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
