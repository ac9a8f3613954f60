//! Two nodes on one Redis or on a Redis Cluster with the operator ann, and her entries in the audit
//! log.

use super::backend::AnyRedis;
use super::cli::operator;
use super::deployment::LayerKind;
use super::node::Node;
use super::user::User;

pub struct OperatorSite {
    pub redis: AnyRedis,
    pub nodes: [Node; 2],
    pub ann: User,
}

impl OperatorSite {
    /// Starts two nodes; ann has a session on the first.
    pub async fn start() -> Self {
        Self::start_on(LayerKind::Redis).await
    }

    /// Starts them on a layer of many nodes.
    pub async fn start_on(layer: LayerKind) -> Self {
        let redis = AnyRedis::start(layer).await;
        let nodes = Node::several::<2>(&redis).await;
        let ann = operator(&nodes[0], &redis, "ann").await;
        Self { redis, nodes, ann }
    }

    /// Sends this form as ann and returns the status.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> u16 {
        self.ann.post(&self.nodes[0], path, fields).await.status
    }

    /// Ann's last entries in the audit log, the newest first: action and subject.
    pub async fn audit_entries(&self, count: usize) -> Vec<(String, String)> {
        let (server, key) = self.redis.place_of("index:audit:ann").await;
        let lines: Vec<String> = server.query(&["ZREVRANGE", &key, "0", &(count - 1).to_string()]).await;
        let entries = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let texts = entries.map(|entry| {
            assert_eq!(entry["who"], "ann", "{entry}");
            ["what", "about"].map(|member| entry[member].as_str().expect("a text").to_owned())
        });
        texts.map(|[what, about]| (what, about)).collect()
    }
}

/// Makes what [`OperatorSite::audit_entries`] should return.
pub fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(what, about)| ((*what).to_owned(), (*about).to_owned())).collect()
}
