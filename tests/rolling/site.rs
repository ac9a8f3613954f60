//! Three nodes of two versions behind nginx, and what must hold between them at any time.

use std::net::SocketAddr;
use std::path::PathBuf;

use parlor::{Broker, Group, HistoryRange, Id};
use serde_json::json;

use crate::support::centrifugo::CentrifugoClient;
use crate::support::cluster::Cluster;
use crate::support::handshake::Handshake;
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::user::User;
use crate::support::v1_client::{V1Client, texts_of};
use crate::support::wait::{PATIENCE, holds, until};

/// The number of nodes.
pub const SIZE: usize = 3;
/// The room that all clients are in.
pub const ROOM: &str = "lobby";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Other,
    Now,
}

/// How a node ends.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// By SIGTERM.
    Drained,
    /// By SIGKILL.
    Killed,
}

pub struct Site {
    cluster: Cluster,
    other: PathBuf,
    versions: [Version; SIZE],
    /// The number of checks so far.
    checks: usize,
}

/// A message of the log: its id and its text.
pub type Logged = (String, String);

impl Site {
    /// Starts all nodes by the program of the other version.
    pub async fn start(other: PathBuf) -> Self {
        let cluster = Cluster::with_nodes(0).await;
        let mut site = Self { cluster, other, versions: [Version::Other; SIZE], checks: 0 };
        for node in 0..SIZE {
            site.start_node(node, Version::Other).await;
        }
        site
    }

    /// The address of nginx.
    pub fn address(&self) -> SocketAddr {
        self.cluster.nginx.address()
    }

    async fn start_node(&mut self, node: usize, version: Version) {
        let plan = Node::bare_plan().env("PARLOR_LOG_MESSAGES", "100000");
        let plan = plan.env("PARLOR_TRUSTED_PROXIES", "127.0.0.1");
        let plan = if version == Version::Other { plan.program(&self.other) } else { plan };
        self.cluster.start_by(node, plan).await;
        self.versions[node] = version;
    }

    /// Ends a node and starts one of this version in its place.
    pub async fn replace(&mut self, node: usize, version: Version, ending: Ending) {
        println!("node {node} becomes {version:?}, {ending:?}");
        match ending {
            Ending::Drained => {
                self.cluster.node(node).terminate();
                self.cluster.node(node).exit(PATIENCE).await;
            }
            Ending::Killed => self.cluster.node(node).kill(),
        }
        self.start_node(node, version).await;
    }

    /// Fails unless the nodes agree about a message that is sent again, the history, the members, a
    /// login and its end, and a private chat; and clients of Centrifugo's protocol on each node of
    /// this version receive what is said at any node.
    pub async fn check(&mut self) {
        self.checks += 1;
        self.check_repetitions().await;
        self.check_histories().await;
        self.check_members().await;
        self.check_accounts().await;
        self.check_centrifugo().await;
    }

    async fn join(&mut self, node: usize, handshake: &Handshake) -> V1Client {
        handshake.connect(self.cluster.node(node)).await
    }

    async fn check_repetitions(&mut self) {
        // One guest: the names of messages belong to it.
        let handshake = Handshake::to_room(ROOM).with_guest(1);
        let mut members = Vec::new();
        for node in 0..SIZE {
            members.push(self.join(node, &handshake).await);
        }
        for first in 0..SIZE {
            let text = format!("again-{}-{first}", self.checks);
            let acked = members[first].publish_as(&text, &text).await;
            for (node, member) in members.iter_mut().enumerate() {
                let again = member.try_publish(&text, &text).await;
                let nodes = format!("node {first}, then {node} of {:?}", self.versions);
                assert_eq!((&again["type"], &again["id"]), (&json!("ack"), &acked["id"]), "{nodes}: {again}");
            }
        }
    }

    async fn check_histories(&mut self) {
        let handshake = Handshake::to_room("quiet").history(50);
        let mut texts = Vec::new();
        for round in 0..SIZE {
            let mut author = self.join(round, &handshake).await;
            author.publish(&format!("{}-{round}", self.checks)).await;
        }
        for node in 0..SIZE {
            let mut reader = self.join(node, &handshake).await;
            texts.push(texts_of(&reader.receive_history().await));
        }
        assert!(texts.iter().all(|read| *read == texts[0]), "{:?}: {texts:#?}", self.versions);
        assert_eq!(texts[0].len(), (SIZE * self.checks).min(50));
    }

    async fn check_members(&mut self) {
        let handshake = Handshake::to_room(ROOM).with_guest(1);
        until(PATIENCE, &format!("the same members on nodes of {:?}", self.versions), async || {
            let mut lists: Vec<Vec<String>> = Vec::new();
            for node in 0..SIZE {
                let member = self.join(node, &handshake).await;
                let members = member.welcome["members"].as_array().expect("members");
                let mut users: Vec<_> = members.iter().map(ToString::to_string).collect();
                users.sort();
                lists.push(users);
            }
            holds(lists.iter().all(|list| *list == lists[0]), || format!("{lists:#?}"))
        })
        .await;
    }

    async fn check_accounts(&mut self) {
        let node = |at: usize| (self.checks + at) % SIZE;
        let (first, second, third) = (node(0), node(1), node(2));
        let [ann, bob] = ["ann", "bob"].map(|name| format!("{name}{}", self.checks));
        let mut ann = User::registered(self.cluster.node(first), &ann).await;
        let bob = User::registered(self.cluster.node(second), &bob).await;
        let (mut sockets, mut inboxes) = (Vec::new(), Vec::new());
        for node in 0..SIZE {
            sockets.push(ann.join(self.cluster.node(node), ROOM).await);
            inboxes.push(self.join(node, &bob.handshake_at("/ws/inbox/")).await);
        }
        ann.join(self.cluster.node(third), &format!("@{}", bob.name)).await.publish("hi").await;
        for inbox in &mut inboxes {
            let unread = inbox.receive_frame("unread").await;
            assert_eq!((&unread["name"], &unread["count"]), (&json!(ann.name), &json!(1)), "{unread}");
        }
        ann.log_out(self.cluster.node(second)).await;
        for socket in &mut sockets {
            assert_eq!(socket.closed(PATIENCE).await.0, 4401, "{:?}", self.versions);
        }
    }

    async fn check_centrifugo(&mut self) {
        const CHANNEL: &str = "bridge";
        for node in 0..SIZE {
            if self.versions[node] == Version::Other {
                continue;
            }
            let mut client = CentrifugoClient::open(self.cluster.node(node)).await;
            client.result("connect", &json!({})).await;
            client.subscribe(CHANNEL).await;
            for from in 0..SIZE {
                let text = format!("{}-{node}-{from}", self.checks);
                self.join(from, &Handshake::to_room(CHANNEL)).await.publish(&text).await;
                let received = client.push(CHANNEL, "pub").await;
                assert_eq!(received["data"]["text"], json!(text), "{:?}: {received}", self.versions);
            }
        }
    }

    /// The room's log from its begin.
    pub async fn log(&self) -> Vec<Logged> {
        let node = LayerNode::connect(&self.cluster.redis.url()).await;
        let group = Group::new(&format!("chat_{ROOM}"));
        let (mut log, mut after) = (Vec::new(), Id::START);
        loop {
            let page = node.layer.history(&group, HistoryRange::After(after)).await.expect("a page");
            for event in &page.events {
                after = event.position().expect("a logged event").id;
                log.push((after.to_string(), event.text("message").expect("a text").to_owned()));
            }
            if !page.more {
                return log;
            }
        }
    }
}
