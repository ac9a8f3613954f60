//! The values of metric labels: one enum for each label.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// Defines an enum whose variants are the values of a label.
macro_rules! label {
    ($(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$meaning:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$meaning])* $variant,)*
        }

        impl $name {
            /// Every value. A series is shown from the start, so that the rate of its first count
            /// is known.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the text of the label.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                self.as_str().encode(encoder)
            }
        }
    };
}

label! {
    /// Why an event from the layer was not delivered.
    pub(crate) enum DropReason {
        /// Its bytes are no event.
        Malformed = "malformed",
        /// No channel of its group lists its type.
        UnknownType = "unknown_type",
        /// The application failed on it.
        ApplicationFailed = "consumer_failed",
        /// This node was too slow for what Redis sent.
        Overflow = "overflow",
        /// It claims a position in a log that does not have it.
        NotLogged = "not_logged",
    }
}

label! {
    /// Why messages of a group may be missing.
    pub(crate) enum GapReason {
        /// The log no longer has them.
        Trimmed = "trimmed",
        /// Redis lost what it held.
        Rewritten = "rewritten",
    }
}

label! {
    /// How a subscription began, against the position that its client asked for.
    pub enum Recovery {
        /// Everything since that position follows.
        Recovered = "recovered",
        /// The client asked for no position.
        New = "new",
        /// The log no longer reaches back to it.
        Trimmed = "trimmed",
        /// The log never had it, or was rewritten since.
        Unknown = "unknown",
        /// It is not an id.
        Malformed = "malformed",
    }
}

label! {
    /// Which limit rejected something.
    pub(crate) enum LimitReason {
        /// Bytes of messages of an address.
        AddressBytes = "address_bytes",
        /// Logs in which an address has messages.
        AddressLogs = "address_logs",
        /// Bytes of messages of a socket.
        Bytes = "bytes",
        /// Connections of the node.
        Connections = "connections",
        /// Connections of an address.
        ConnectionsPerAddress = "connections_per_address",
        /// Handshakes of an address.
        Handshakes = "handshakes",
        /// Hosts that the node serves.
        Hosts = "hosts",
        /// Logins of an address, or for a name.
        Logins = "logins",
        /// Messages of a socket, or of posts of a user.
        Messages = "messages",
        /// Pages of origins that are not allowed.
        Origins = "origins",
        /// Passwords that are hashed at a time.
        Passwords = "passwords",
        /// Publishes of an API key.
        Publishes = "publishes",
        /// Pages of logs that an address reads.
        Reads = "reads",
        /// Requests of an address.
        Requests = "requests",
        /// Sockets of an address.
        SocketsPerAddress = "sockets_per_address",
        /// Sockets of a user.
        SocketsPerUser = "sockets_per_user",
        /// Tokens (JWT) that are not valid.
        Tokens = "tokens",
    }
}

label! {
    /// Why a request of a client failed because of the layer.
    pub(crate) enum FailureReason {
        /// A record, or the log itself, is not what was written there.
        Corrupt = "corrupt",
        /// Redis answered with an error.
        Refused = "refused",
        /// Redis did not answer in time.
        TimedOut = "timed_out",
        /// Redis cannot be reached, or this node is not subscribed.
        Unreachable = "unreachable",
    }
}

label! {
    /// The class of a status (RFC 9110, section 15).
    pub(crate) enum StatusClass {
        /// Upgrades to a socket.
        Informational = "1xx",
        /// Successes.
        Success = "2xx",
        /// Redirects.
        Redirection = "3xx",
        /// Requests that are refused for what they are.
        ClientError = "4xx",
        /// Requests that the node cannot serve now.
        ServerError = "5xx",
    }
}

impl StatusClass {
    /// Returns the class of a status.
    pub(crate) fn from_status(status: u16) -> Self {
        match status {
            ..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

label! {
    /// The kind of error with which Redis answered a command.
    pub enum RedisRefusal {
        /// A script or another command runs too long: `BUSY`.
        Busy = "busy",
        /// A key belongs to another node of a cluster, or the cluster is down: `MOVED`,
        /// `CLUSTERDOWN` and their like.
        Cluster = "cluster",
        /// Redis reads its data from disk: `LOADING`.
        Loading = "loading",
        /// The replica has lost its master: `MASTERDOWN`.
        MasterDown = "master_down",
        /// Redis cannot write its data to disk: `MISCONF`.
        Misconfigured = "misconfigured",
        /// Too few replicas are connected: `NOREPLICAS`.
        NoReplicas = "no_replicas",
        /// The password is wrong, or the user may not do this: `NOAUTH`, `WRONGPASS`, `NOPERM`.
        NotPermitted = "not_permitted",
        /// `maxmemory` is reached: `OOM`.
        OutOfMemory = "out_of_memory",
        /// The server is a replica: `READONLY`.
        ReadOnly = "read_only",
        /// The command was renamed or disabled, or the server is too old: `ERR unknown command`.
        UnknownCommand = "unknown_command",
        /// The key holds a value of another type: `WRONGTYPE`.
        WrongType = "wrong_type",
        /// Any other error.
        Other = "other",
    }
}

impl RedisRefusal {
    /// Returns whether Redis refuses other writes as well: the node cannot serve.
    pub(crate) fn concerns_all_writes(self) -> bool {
        !matches!(self, Self::WrongType | Self::Other)
    }

    /// Returns whether Redis may refuse one command only, so that another says nothing about it.
    pub(crate) fn may_concern_one_command(self) -> bool {
        matches!(self, Self::NotPermitted | Self::UnknownCommand)
    }

    /// Returns the kind of an error of Redis: `READONLY You can't write…`.
    ///
    /// Redis 6 wraps an error inside a script: `ERR Error running script …: -READONLY You can't
    /// write…`.
    pub(crate) fn from_message(message: &str) -> Self {
        let inner = if message.starts_with("ERR ") {
            message.split_once(": -").map(|(_, inner)| inner)
        } else {
            None
        };
        match inner.unwrap_or(message).split(' ').next().unwrap_or_default() {
            "BUSY" => Self::Busy,
            "ASK" | "CLUSTERDOWN" | "CROSSSLOT" | "MOVED" | "TRYAGAIN" => Self::Cluster,
            "LOADING" => Self::Loading,
            "MASTERDOWN" => Self::MasterDown,
            "MISCONF" => Self::Misconfigured,
            "NOREPLICAS" => Self::NoReplicas,
            "NOAUTH" | "NOPERM" | "WRONGPASS" => Self::NotPermitted,
            "OOM" => Self::OutOfMemory,
            "READONLY" => Self::ReadOnly,
            "WRONGTYPE" => Self::WrongType,
            _ if is_unknown(message) => Self::UnknownCommand,
            _ if [FORBIDDEN_IN_SCRIPT, FORBIDDEN].iter().any(|text| message.contains(text)) => {
                Self::NotPermitted
            }
            _ => Self::Other,
        }
    }
}

/// What Redis 7 says of a command, key or channel that the user's ACL forbids, in place of
/// `NOPERM` where a script uses it.
const FORBIDDEN_IN_SCRIPT: &str = "The user executing the script can't";

/// What Redis says of a command that the user's ACL forbids. The client library puts words of its
/// own before it in place of `NOPERM` where it is `SELECT`.
const FORBIDDEN: &str = "has no permissions to run the";

/// Returns whether Redis does not know a command, called by a client or by a script.
fn is_unknown(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["unknown command", "unknown subcommand", "unknown redis command"]
        .iter()
        .any(|text| message.contains(text))
}

#[cfg(test)]
mod tests {
    use super::RedisRefusal;

    #[test]
    fn the_kind_of_a_refusal_is_its_code_also_inside_a_script() {
        for (message, kind) in [
            ("READONLY You can't write against a read only replica.", RedisRefusal::ReadOnly),
            (
                "ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed",
                RedisRefusal::OutOfMemory,
            ),
            ("NOPERM User x has no permissions: -OOM", RedisRefusal::NotPermitted),
            (
                "ERR The user executing the script can't run this command or subcommand script: f6",
                RedisRefusal::NotPermitted,
            ),
            (
                "Redis server refused to switch database: User x has no permissions to run the 'select' command",
                RedisRefusal::NotPermitted,
            ),
            ("NOREPLICAS Not enough good replicas to write.", RedisRefusal::NoReplicas),
            ("ERR unknown command 'XADD', with args beginning with: ", RedisRefusal::UnknownCommand),
            (
                "ERR Unknown Redis command called from script script: 1, on @user_script:1.",
                RedisRefusal::UnknownCommand,
            ),
            ("ERR value is not an integer or out of range", RedisRefusal::Other),
            ("", RedisRefusal::Other),
        ] {
            assert_eq!(RedisRefusal::from_message(message), kind, "{message}");
        }
    }
}
