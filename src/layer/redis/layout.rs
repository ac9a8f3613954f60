//! The layout of the keys in Redis: its version, and the move from the first one.
//!
//! The first layout had no version, and other names for what belongs to a group. Nodes of the two
//! cannot share a Redis. A node that finds the first one without live nodes renames what lasts
//! (logs, redactions, idempotency keys, intervals, records that the application names), and deletes
//! what nodes wrote of themselves.

use std::time::Duration;

use redis::Cmd;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::layer::error::LayerError;
use crate::layer::redis::commands::{Commands, command};
use crate::telemetry::RedisRefusal;

/// The layout that this program reads and writes.
const VERSION: &str = "2";
/// The version while a node moves keys.
const MOVING: &str = "2-moving";
/// What a group's name began with in keys of the first layout.
const OLD_GROUP_PREFIX: &[u8] = b"asgi__group__";
/// Time after which another node takes over a move.
const MOVE_TIMEOUT_MILLIS: u64 = 60_000;
/// Pause between two looks whether another node has finished.
const WAIT_PAUSE: Duration = Duration::from_millis(200);
/// Keys of one step.
const STEP_KEYS: usize = 500;

/// How keys of the application's records began, and how they begin now, with a `}` at the end.
pub(crate) type RenamedRecords = &'static [(&'static str, &'static str)];

/// Why the keys cannot be used.
#[derive(Debug)]
pub(super) enum LayoutError {
    Layer(LayerError),
    /// Nodes of the first layout are running.
    OldNodes(Vec<String>),
    /// The layout of a later program.
    Unknown(String),
}

impl From<LayerError> for LayoutError {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

impl std::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layer(error) => write!(f, "{error}"),
            Self::OldNodes(nodes) => write!(
                f,
                "nodes of an older version use this Redis ({}): stop them first, or give this one another \
                 --redis-prefix; a node that was killed counts for 10 s more",
                nodes.join(", ")
            ),
            Self::Unknown(version) => write!(
                f,
                "the keys in this Redis have the layout {version:?} of another version: start that one, or give \
                 this one another --redis-prefix"
            ),
        }
    }
}

/// Makes sure that the keys have this layout; moves those of the first one.
///
/// # Errors
/// Fails while nodes of the first layout live, and for a layout that is not known.
pub(super) async fn prepare(commands: &Commands, renamed: RenamedRecords) -> Result<(), LayoutError> {
    let keys = commands.keys();
    loop {
        let mut get = Cmd::new();
        get.arg("GET").arg(keys.version());
        let version: Option<String> = commands.command(&get).await?;
        match version.as_deref() {
            Some(VERSION) => return Ok(()),
            Some(MOVING) => {
                sleep(WAIT_PAUSE).await;
                continue;
            }
            Some(other) => return Err(LayoutError::Unknown(other.to_owned())),
            None => {}
        }
        // The scripts of the first layout failed on a Cluster.
        let may_be_old = !commands.shards().is_cluster();
        let alive = if may_be_old { live_old_nodes(commands).await? } else { Vec::new() };
        if !alive.is_empty() {
            return Err(LayoutError::OldNodes(alive));
        }
        let mut claim = Cmd::new();
        claim.arg("SET").arg(keys.version()).arg(MOVING).arg("NX").arg("PX").arg(MOVE_TIMEOUT_MILLIS);
        let claimed: Option<String> = commands.command(&claim).await?;
        if claimed.is_none() {
            continue;
        }
        let moved = if may_be_old { move_keys(commands, renamed).await? } else { 0 };
        if moved > 0 {
            info!(keys = moved, "keys of the first layout moved");
        }
        let mut set = Cmd::new();
        set.arg("SET").arg(keys.version()).arg(VERSION);
        return Ok(commands.command(&set).await?);
    }
}

/// Returns the names of the nodes of the first layout whose leases are alive.
async fn live_old_nodes(commands: &Commands) -> Result<Vec<String>, LayerError> {
    let prefix = commands.keys().prefix();
    let mut members = Cmd::new();
    members.arg("SMEMBERS").arg(format!("{prefix}:nodes"));
    let mut alive = Vec::new();
    for node in commands.command::<Vec<String>>(&members).await? {
        let mut exists = Cmd::new();
        exists.arg("EXISTS").arg(format!("{prefix}:node:{node}"));
        if commands.command(&exists).await? {
            alive.push(node);
        }
    }
    Ok(alive)
}

/// What becomes of a key of the first layout.
enum Fate {
    Kept,
    Renamed(Vec<u8>),
    Deleted,
}

/// Moves all keys of the first layout, some at a time; returns how many they were.
async fn move_keys(commands: &Commands, renamed: RenamedRecords) -> Result<usize, LayerError> {
    let prefix = commands.keys().prefix();
    let (mut cursor, mut moved) = (0_u64, 0);
    loop {
        let mut scan = Cmd::new();
        scan.arg("SCAN").arg(cursor).arg("MATCH").arg(format!("{prefix}:*")).arg("COUNT").arg(STEP_KEYS);
        let (next, found): (u64, Vec<Vec<u8>>) = commands.command(&scan).await?;
        let mut steps = Vec::new();
        for key in &found {
            steps.push(match fate(prefix, renamed, key) {
                Fate::Kept => continue,
                // The new name is there if the move was interrupted, and another node had begun it.
                Fate::Renamed(name) => command([b"RENAMENX", key, &name]),
                Fate::Deleted => command([b"UNLINK", key]),
            });
        }
        moved += steps.len();
        for step in commands.each::<i64>(&steps).await {
            match step {
                // A key that expired between the two.
                Err(LayerError::Refused { kind: RedisRefusal::Other, message }) => {
                    warn!(message, "a key of the first layout could not be moved");
                }
                step => drop(step?),
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(moved);
        }
    }
}

fn fate(prefix: &str, renamed: RenamedRecords, key: &[u8]) -> Fate {
    let Some(rest) = key.strip_prefix(prefix.as_bytes()).and_then(|rest| rest.strip_prefix(b":")) else {
        return Fate::Kept;
    };
    let tag = [b"{", OLD_GROUP_PREFIX].concat();
    for (old, new) in [("log:", "log:"), ("covered:", "x:"), ("sent:", "sent:")] {
        if let Some(rest) = rest.strip_prefix(old.as_bytes())
            && let Some(group) = rest.strip_prefix(&*tag)
        {
            return Fate::Renamed([prefix.as_bytes(), b":", new.as_bytes(), b"{", group].concat());
        }
    }
    for (old, new) in renamed {
        if let Some(name) = rest.strip_prefix(old.as_bytes())
            && !(name.starts_with(b"{") && name.ends_with(b"}"))
        {
            return Fate::Renamed([prefix.as_bytes(), b":", new.as_bytes(), name, b"}"].concat());
        }
    }
    if let Some(group) = rest.strip_prefix(b"ticker:") {
        return Fate::Renamed([prefix.as_bytes(), b":t:{", group, b"}"].concat());
    }
    let is_about_nodes = ["group:", "present:", "node:"].iter().any(|kind| rest.starts_with(kind.as_bytes()));
    // The sets of groups have the group's name in braces now.
    let is_new = rest.starts_with(b"group:{") && rest.ends_with(b"}");
    if (is_about_nodes && !is_new) || [&b"nodes"[..], b"leaving", b"counting", b"sweep"].contains(&rest) {
        return Fate::Deleted;
    }
    Fate::Kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(key: &str) -> Option<String> {
        match fate("parlor", &[("record:note:", "record:note:{group_")], key.as_bytes()) {
            Fate::Kept => Some(key.to_owned()),
            Fate::Renamed(name) => Some(String::from_utf8(name).unwrap()),
            Fate::Deleted => None,
        }
    }

    #[test]
    fn keys_of_a_group_are_renamed_and_those_of_nodes_are_deleted() {
        for (old, new) in [
            ("parlor:log:{asgi__group__chat_聊天}", "parlor:log:{chat_聊天}"),
            ("parlor:covered:{asgi__group__chat_a}", "parlor:x:{chat_a}"),
            ("parlor:sent:{asgi__group__chat_a}:ann:1}", "parlor:sent:{chat_a}:ann:1}"),
            ("parlor:ticker:lobby", "parlor:t:{lobby}"),
            ("parlor:record:note:nodes", "parlor:record:note:{group_nodes}"),
        ] {
            assert_eq!(after(old).as_deref(), Some(new));
            assert_eq!(after(new).as_deref(), Some(new), "once");
        }
        for kept in ["parlor:record:user:nodes", "parlor:index:users", "parlor:group:{chat_a}", "other:nodes"]
        {
            assert_eq!(after(kept).as_deref(), Some(kept));
        }
        for gone in [
            "parlor:nodes",
            "parlor:node:0f:groups",
            "parlor:group:chat_a",
            "parlor:group:chat_a:0f",
            "parlor:present:chat_a",
            "parlor:leaving",
            "parlor:counting",
            "parlor:sweep",
        ] {
            assert_eq!(after(gone), None, "{gone}");
        }
    }
}
