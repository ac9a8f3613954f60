//! What a server of a Cluster says of all servers.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use redis::FromRedisValue;

use super::Server;

/// The answer of a server to `CLUSTER NODES`.
pub struct View {
    /// The server that answers.
    pub own: NodeView,
    nodes: Vec<NodeView>,
}

/// One server in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    pub id: String,
    flags: Vec<String>,
    /// The master of a replica; `-` of a master.
    master: String,
    pub epoch: u64,
    is_connected: bool,
    /// Ranges as in `0-5460`, single slots, and those that move, as in `[93->-ID]`.
    slots: Vec<String>,
}

impl View {
    fn parse(text: &str) -> Self {
        let nodes: Vec<_> = text.lines().map(NodeView::parse).collect();
        let own = nodes.iter().find(|node| node.has("myself")).expect("the server itself").clone();
        Self { own, nodes }
    }

    /// The master and the slots of each live server. Fails with the reason while that may change.
    pub fn settled(&self, live: &[&str]) -> Result<BTreeMap<String, (String, Vec<String>)>, String> {
        let mut settled = BTreeMap::new();
        for id in live {
            let node = self.nodes.iter().find(|node| node.id == *id);
            let node = node.ok_or_else(|| format!("{} does not know {id}", self.own.id))?;
            let is_wrong = ["fail", "fail?", "handshake"].iter().any(|flag| node.has(flag));
            if is_wrong || !node.is_connected || node.slots.iter().any(|slot| slot.starts_with('[')) {
                return Err(format!("{} sees {node:?}", self.own.id));
            }
            settled.insert((*id).to_owned(), (node.master.clone(), node.slots.clone()));
        }
        Ok(settled)
    }

    /// The id of the owner of a slot.
    pub fn owner(&self, slot: u16) -> Option<&str> {
        let owner = self.nodes.iter().find(|node| node.ranges().any(|range| range.contains(&slot)));
        owner.map(|node| node.id.as_str())
    }
}

impl NodeView {
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [id, _, flags, master, _, _, epoch, state, slots @ ..] = &words[..] else {
            panic!("a line of CLUSTER NODES: {line}")
        };
        Self {
            id: (*id).to_owned(),
            flags: flags.split(',').map(str::to_owned).collect(),
            master: (*master).to_owned(),
            epoch: epoch.parse().expect("an epoch"),
            is_connected: *state == "connected",
            slots: slots.iter().map(|&slots| slots.to_owned()).collect(),
        }
    }

    pub fn is_master(&self) -> bool {
        self.has("master")
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    /// The slots that it owns.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u16>> {
        self.slots.iter().filter(|slots| !slots.starts_with('[')).map(|slots| {
            let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
            first.parse().expect("a slot")..=last.parse().expect("a slot")
        })
    }
}

impl Server {
    pub async fn view(&self) -> Result<View, String> {
        self.ask::<String>(&["CLUSTER", "NODES"]).await.map(|text| View::parse(&text))
    }

    /// Sends a command that may fail.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, String> {
        self.redis.try_query(command).await.map_err(|error| error.to_string())
    }
}
