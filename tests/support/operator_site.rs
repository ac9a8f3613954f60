//! An operator at work: ann at one node of a site, everybody else at the other, and what the audit log says of her.

use super::cli::operator;
use super::node::Node;
use super::redis::Redis;
use super::user::User;

pub struct OperatorSite {
    pub redis: Redis,
    pub nodes: [Node; 2],
    pub ann: User,
}

impl OperatorSite {
    /// An operator, ann, at the first node; everybody else is at the second.
    pub async fn start() -> Self {
        let redis = Redis::start().await;
        let nodes = Node::several::<2>(&redis).await;
        let ann = operator(&nodes[0], &redis, "ann").await;
        Self { redis, nodes, ann }
    }

    /// The form at this path, sent by ann.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> u16 {
        self.ann.post(&self.nodes[0], path, fields).await.status
    }

    /// Ann's last entries in the audit log, the newest first: what, and about whom or what.
    pub async fn audit_entries(&self, count: usize) -> Vec<(String, String)> {
        let lines: Vec<String> =
            self.redis.query(&["ZREVRANGE", "parlor:index:audit", "0", &(count - 1).to_string()]).await;
        let entries = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let texts = entries.map(|entry| {
            assert_eq!(entry["who"], "ann", "{entry}");
            ["what", "about"].map(|member| entry[member].as_str().expect("a text").to_owned())
        });
        texts.map(|[what, about]| (what, about)).collect()
    }
}

/// What [`Operation::audited`] should be.
pub fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(what, about)| ((*what).to_owned(), (*about).to_owned())).collect()
}
