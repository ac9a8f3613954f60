//! The layer without sockets: one node on memory, or two on Redis or on a Redis Cluster.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use parlor::{
    Appended, Broker, Control, Delivery, Disconnect, Event, GAP, Group, Id, IdempotencyKey, Instruction,
    Layer, LayerError, LayerListener, NodeFigures, Presence, REDACTED, Retention,
};

use super::backend::{AnyRedis, Backend};
use super::deployment::LayerKind;
use super::redis::Redis;
use super::redis_cluster::RedisCluster;
use super::wait::{PATIENCE, holds, seconds, until};

pub struct LayerNodes {
    pub nodes: Vec<LayerNode>,
    pub redis: Option<AnyRedis>,
}

pub struct LayerNode {
    pub layer: Layer,
    received: Arc<Received>,
}

/// What the layer has called a node's listener with: the events of each group in order.
#[derive(Default)]
struct Received {
    events: Mutex<BTreeMap<String, Vec<Arc<Delivery>>>>,
    started: Mutex<Vec<String>>,
    disconnects: Mutex<Vec<Disconnect>>,
    instructions: Mutex<Vec<Instruction>>,
    /// The number of calls that announce missed events.
    recoveries: AtomicUsize,
    /// The number of times that every connection was asked again.
    askings: AtomicUsize,
    /// What the node reports of itself.
    figures: Mutex<NodeFigures>,
}

impl LayerListener for Received {
    fn deliver(&self, group: &str, events: &[Arc<Delivery>]) {
        self.events.lock().unwrap().entry(group.to_owned()).or_default().extend(events.iter().cloned());
    }

    fn on_interval_started(&self, group: &str) {
        self.started.lock().unwrap().push(group.to_owned());
    }

    fn on_disconnect(&self, disconnect: Disconnect) {
        self.disconnects.lock().unwrap().push(disconnect);
    }

    fn on_instruction(&self, instruction: Instruction) {
        self.instructions.lock().unwrap().push(instruction);
    }

    fn on_missed_disconnects(&self, disconnects: &[Disconnect]) {
        self.disconnects.lock().unwrap().extend(disconnects.iter().cloned());
    }

    fn ask_again(&self) -> Pin<Box<dyn Future<Output = Result<(), LayerError>> + Send + '_>> {
        self.askings.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(())))
    }

    fn on_resubscribed(&self) {
        self.recoveries.fetch_add(1, Ordering::SeqCst);
    }

    fn is_full(&self) -> bool {
        false
    }

    fn figures(&self) -> NodeFigures {
        *self.figures.lock().unwrap()
    }
}

impl LayerNodes {
    pub fn on_memory() -> Self {
        let received = Arc::new(Received::default());
        Self {
            nodes: vec![LayerNode { layer: Layer::memory(keep(), received.clone()), received }],
            redis: None,
        }
    }

    pub async fn on_redis() -> Self {
        Self::on(AnyRedis::start(LayerKind::Redis).await).await
    }

    pub async fn on_cluster() -> Self {
        Self::on(AnyRedis::start(LayerKind::Cluster).await).await
    }

    /// Connects two nodes to a Cluster that the test changes.
    pub async fn with_cluster(cluster: RedisCluster) -> (Vec<LayerNode>, RedisCluster) {
        let nodes = Self::connected(&cluster).await;
        (nodes, cluster)
    }

    async fn on(redis: AnyRedis) -> Self {
        let nodes = Self::connected(&redis).await;
        Self { nodes, redis: Some(redis) }
    }

    async fn connected(redis: &impl Backend) -> Vec<LayerNode> {
        let mut nodes = Vec::new();
        for _ in 0..2 {
            nodes.push(LayerNode::connect(&redis.url()).await);
        }
        nodes
    }

    /// The single Redis of the nodes.
    pub fn redis(&self) -> &Redis {
        self.redis.as_ref().expect("a Redis").single()
    }
}

fn keep() -> Retention {
    Retention { messages: 1000, bytes: 0, age: seconds(60), replicas: 0 }
}

impl LayerNode {
    /// Connects another node to the Redis at this URL.
    pub async fn connect(url: &str) -> Self {
        Self::with_prefixes("parlor", Some("asgi"), url).await
    }

    /// Connects a node with this prefix of keys, and one of shared channels, to the Redis at this
    /// URL.
    pub async fn with_prefixes(prefix: &str, shared: Option<&str>, url: &str) -> Self {
        let received = Arc::new(Received::default());
        let layer = Layer::redis(&url.into(), prefix, shared, &[], false, keep(), received.clone())
            .await
            .expect("a layer");
        let peer = Self { layer, received };
        peer.wait_until_ready().await;
        peer
    }

    pub async fn wait_until_ready(&self) {
        until(PATIENCE, "the layer to be ready", async || self.layer.ready().map_err(|e| e.to_string()))
            .await;
    }

    /// Adds a member to the group and waits for the subscription.
    pub async fn enter(&self, group: &Group, user: &str) {
        self.layer.subscribe(group, Some(&user.into())).await.expect("a subscription to the group");
    }

    pub async fn publish(&self, group: &Group, text: &str) {
        self.layer.publish(group, &event(text)).await.expect("the layer to take an event");
    }

    pub async fn append(&self, group: &Group, text: &str, key: Option<&str>) -> Appended {
        let event = event(text);
        let key = key.map(|name| IdempotencyKey::new(name.to_owned(), &event));
        self.layer.append(group, &event, key.as_ref()).await.expect("the layer to take an event")
    }

    /// The events that a test has sent, without those that the layer adds.
    pub fn events(&self, group: &Group) -> Vec<Arc<Delivery>> {
        let events = self.received.events.lock().unwrap();
        let events = events.get(group.name()).into_iter().flatten();
        events.filter(|event| event.text("text").is_some()).cloned().collect()
    }

    /// Appends an event without a key and returns its id.
    pub async fn append_new(&self, group: &Group, text: &str) -> Id {
        match self.append(group, text, None).await {
            Appended::New(id, _) => id,
            other => panic!("an event without key is always new: {other:?}"),
        }
    }

    /// The ids of the redactions delivered live, in order; redacted events in the log do not count.
    pub fn redactions(&self, group: &Group) -> Vec<Id> {
        let events = self.received.events.lock().unwrap();
        let events = events.get(group.name()).into_iter().flatten();
        let reported = events.filter(|event| event.kind() == REDACTED && event.position().is_none());
        reported.map(|event| event.text("id").expect("an id").parse().expect("an id")).collect()
    }

    /// The gaps delivered, by the ids after which messages may be missing.
    pub fn gaps(&self, group: &Group) -> Vec<Id> {
        let events = self.received.events.lock().unwrap();
        let gaps = events.get(group.name()).into_iter().flatten().filter(|event| event.kind() == GAP);
        gaps.map(|event| event.text("after").expect("an id").parse().expect("an id")).collect()
    }

    /// The events delivered with a position in the log, with text or without.
    pub fn logged(&self, group: &Group) -> Vec<Arc<Delivery>> {
        let events = self.received.events.lock().unwrap();
        let events = events.get(group.name()).into_iter().flatten();
        events.filter(|event| event.position().is_some()).cloned().collect()
    }

    /// Waits until exactly these redactions were delivered.
    pub async fn wait_for_redactions(&self, group: &Group, ids: &[Id]) {
        until(
            PATIENCE,
            &format!("{} to receive the redactions {ids:?}", self.layer.node_name()),
            async || {
                let reported = self.redactions(group);
                holds(reported == ids, || format!("{reported:?}"))
            },
        )
        .await;
    }

    pub fn texts(&self, group: &Group) -> Vec<String> {
        texts(&self.events(group))
    }

    /// Waits until this many events were delivered and returns their texts.
    pub async fn wait_for(&self, group: &Group, count: usize) -> Vec<String> {
        until(PATIENCE, &format!("{count} events of {group}"), async || {
            let texts = self.texts(group);
            holds(texts.len() >= count, || format!("{texts:?}")).map(|()| texts)
        })
        .await
    }

    pub async fn wait_for_members(&self, group: &Group, wanted: usize) {
        until(PATIENCE, &format!("{wanted} members of {group}"), async || {
            let count = self.layer.member_count(group).await.expect("a count");
            holds(count == wanted, || count.to_string())
        })
        .await;
    }

    /// The disconnects that were delivered.
    pub fn disconnects(&self) -> Vec<Disconnect> {
        self.received.disconnects.lock().unwrap().clone()
    }

    /// The instructions that were delivered.
    pub fn instructions(&self) -> Vec<Instruction> {
        self.received.instructions.lock().unwrap().clone()
    }

    /// Waits until this many instructions were delivered.
    pub async fn wait_for_instructions(&self, count: usize) -> Vec<Instruction> {
        until(seconds(5), &format!("{count} instructions"), async || {
            let instructions = self.instructions();
            holds(instructions.len() == count, || format!("{instructions:?}")).map(|()| instructions)
        })
        .await
    }

    /// Waits until this many disconnects were delivered.
    pub async fn wait_for_disconnects(&self, count: usize) -> Vec<Disconnect> {
        until(seconds(1), &format!("{count} orders"), async || {
            let disconnects = self.disconnects();
            holds(disconnects.len() == count, || format!("{disconnects:?}")).map(|()| disconnects)
        })
        .await
    }

    /// The number of times that every connection was asked again.
    pub fn askings(&self) -> usize {
        self.received.askings.load(Ordering::SeqCst)
    }

    /// The number of times that the node may have missed events.
    pub fn recoveries(&self) -> usize {
        self.received.recoveries.load(Ordering::SeqCst)
    }

    /// Sets what the node reports of itself.
    pub fn set_figures(&self, figures: NodeFigures) {
        *self.received.figures.lock().unwrap() = figures;
    }

    /// Waits until the group's ticker runs on this node.
    pub async fn wait_for_ticker(&self, group: &Group) {
        until(PATIENCE, "the node to start the interval", async || {
            let started = self.received.started.lock().unwrap().clone();
            holds(started.contains(&group.name().to_owned()), || format!("{started:?}"))
        })
        .await;
    }
}

pub fn event(text: &str) -> Event {
    Event::new("test").with("text", text)
}

/// The texts of events.
pub fn texts(events: &[Arc<Delivery>]) -> Vec<String> {
    events.iter().map(|event| event.text("text").unwrap_or_default().to_owned()).collect()
}

/// The numbers of logged events.
pub fn numbers(events: &[Arc<Delivery>]) -> Vec<u64> {
    let offset = |event: &Arc<Delivery>| event.position().expect("a logged event").offset;
    events.iter().map(|event| offset(event).expect("an offset").n.get()).collect()
}

/// Asserts that each event names the one before it.
pub fn assert_chain(events: &[Arc<Delivery>]) {
    let stamps: Vec<_> = events.iter().map(|event| event.position().expect("a logged event")).collect();
    for pair in stamps.windows(2) {
        assert_eq!(pair[1].prev, pair[0].id);
        assert!(pair[0].id < pair[1].id, "ids of one log only rise");
    }
}

/// Publishes a last event and waits until every node has delivered it: what each delivered before.
pub async fn last(peers: &LayerNodes, group: &Group, before: usize) -> Vec<Vec<String>> {
    peers.nodes[0].publish(group, "last").await;
    let mut all = Vec::new();
    for node in &peers.nodes {
        let mut texts = node.wait_for(group, before + 1).await;
        assert_eq!(texts.pop().as_deref(), Some("last"));
        all.push(texts);
    }
    all
}

/// Makes a test for each layer of each function that takes [`LayerNodes`].
macro_rules! clauses {
    ($($clause:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $clause() {
                super::$clause(crate::support::layer_nodes::LayerNodes::on_memory()).await;
            })*
        }
        mod redis {
            $(#[tokio::test] async fn $clause() {
                super::$clause(crate::support::layer_nodes::LayerNodes::on_redis().await).await;
            })*
        }
        mod cluster {
            $(#[tokio::test] async fn $clause() {
                super::$clause(crate::support::layer_nodes::LayerNodes::on_cluster().await).await;
            })*
        }
    };
}
pub(crate) use clauses;
