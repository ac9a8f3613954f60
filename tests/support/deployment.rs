//! Nodes on one of the layers, for tests that hold on all of them.

use super::backend::AnyRedis;
use super::node::{Node, Plan};
use super::redis::Redis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// One node without Redis.
    Memory,
    /// Two nodes on one Redis.
    Redis,
    /// Two nodes on a Redis Cluster.
    Cluster,
}

pub struct Deployment {
    pub nodes: Vec<Node>,
    /// The nodes' Redis, if they have one.
    pub redis: Option<AnyRedis>,
}

impl Deployment {
    pub async fn start(layer: LayerKind) -> Self {
        Self::with(layer, &[]).await
    }

    /// Starts nodes with these flags.
    pub async fn with(layer: LayerKind, flags: &[(&str, &str)]) -> Self {
        Self::of(layer, &flags.iter().fold(Node::plan(), |plan, (name, value)| plan.flag(name, value))).await
    }

    /// Starts nodes by this plan.
    pub async fn of(layer: LayerKind, plan: &Plan) -> Self {
        match layer {
            LayerKind::Memory => Self { nodes: vec![plan.start().await], redis: None },
            LayerKind::Redis | LayerKind::Cluster => {
                let redis = AnyRedis::start(layer).await;
                let plan = plan.clone().redis(&redis);
                Self { nodes: vec![plan.start().await, plan.start().await], redis: Some(redis) }
            }
        }
    }

    /// The single Redis of the nodes.
    pub fn redis(&self) -> &Redis {
        self.redis.as_ref().expect("a Redis").single()
    }

    pub fn first(&self) -> &Node {
        &self.nodes[0]
    }

    /// The other node, or the only one.
    pub fn last(&self) -> &Node {
        &self.nodes[self.nodes.len() - 1]
    }
}

/// Makes a test for each layer of each function that takes a [`LayerKind`].
macro_rules! on_every_layer {
    ($($clause:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $clause() {
                super::$clause(crate::support::deployment::LayerKind::Memory).await;
            })*
        }
        crate::support::deployment::on_each_redis! { $($clause)* }
    };
}
pub(crate) use on_every_layer;

/// Makes a test for each layer of many nodes of each function that takes a [`LayerKind`].
macro_rules! on_each_redis {
    ($($clause:ident)*) => {
        mod redis {
            $(#[tokio::test] async fn $clause() {
                super::$clause(crate::support::deployment::LayerKind::Redis).await;
            })*
        }
        mod cluster {
            $(#[tokio::test] async fn $clause() {
                super::$clause(crate::support::deployment::LayerKind::Cluster).await;
            })*
        }
    };
}
pub(crate) use on_each_redis;
