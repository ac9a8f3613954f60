//! The layer's contract (see its module's documentation), each clause held against both layers.
//!
//! The one suite that looks inside the house: another layer has to pass it before anybody builds on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parlor::layer::{Layer, Listener};
use parlor::{Event, Group};

use crate::harness::redis::Redis;
use crate::harness::wait::{PATIENCE, holds, until};

const PERIOD: Duration = Duration::from_millis(400);

/// The nodes of a layer: one on memory, two on Redis.
struct World {
    nodes: Vec<Node>,
    redis: Option<Redis>,
}

struct Node {
    layer: Layer,
    heard: Arc<Heard>,
}

/// What a node's listener was told: the texts of each group, in their order.
#[derive(Default)]
struct Heard {
    texts: Mutex<BTreeMap<String, Vec<String>>>,
    started: Mutex<Vec<String>>,
}

impl Listener for Heard {
    fn deliver(&self, group: &str, events: &[Event]) {
        let mut texts = self.texts.lock().unwrap();
        let texts = texts.entry(group.to_owned()).or_default();
        texts.extend(events.iter().map(|event| event.text("text").unwrap_or_default().to_owned()));
    }

    fn ticker_started(&self, group: &str) {
        self.started.lock().unwrap().push(group.to_owned());
    }

    fn recovered(&self) {}
}

impl World {
    fn memory() -> Self {
        let heard = Arc::new(Heard::default());
        Self { nodes: vec![Node { layer: Layer::memory(heard.clone()), heard }], redis: None }
    }

    async fn redis() -> Self {
        let redis = Redis::start().await;
        let mut nodes = Vec::new();
        for _ in 0..2 {
            let heard = Arc::new(Heard::default());
            let layer = Layer::redis(&redis.url(), false, heard.clone()).await.expect("a layer");
            until(PATIENCE, "the layer to be ready", async || layer.ready().map_err(|e| e.to_string())).await;
            nodes.push(Node { layer, heard });
        }
        Self { nodes, redis: Some(redis) }
    }
}

impl Node {
    async fn enter(&self, group: &Group, member: u64) {
        self.layer.enter(group, member);
        self.layer.heard(group).await.expect("the group to be heard");
    }

    async fn publish(&self, group: &Group, text: &str) {
        self.layer.publish(group, &event(text)).await.expect("the layer to take an event");
    }

    fn texts(&self, group: &Group) -> Vec<String> {
        self.heard.texts.lock().unwrap().get(group.name()).cloned().unwrap_or_default()
    }

    async fn wait_for(&self, group: &Group, count: usize) -> Vec<String> {
        until(PATIENCE, &format!("{count} events of {group}"), async || {
            let texts = self.texts(group);
            holds(texts.len() >= count, || format!("{texts:?}")).map(|()| texts)
        })
        .await
    }

    async fn wait_for_members(&self, group: &Group, wanted: usize) {
        until(PATIENCE, &format!("{wanted} members of {group}"), async || {
            let count = self.layer.members(group).await.expect("a count");
            holds(count == wanted, || count.to_string())
        })
        .await;
    }
}

fn event(text: &str) -> Event {
    Event::new("test").with("text", text)
}

/// Ends what a test waits for without a deadline of its own: an event that all listeners of a group get last.
async fn last(world: &World, group: &Group, before: usize) -> Vec<Vec<String>> {
    world.nodes[0].publish(group, "last").await;
    let mut all = Vec::new();
    for node in &world.nodes {
        let mut texts = node.wait_for(group, before + 1).await;
        assert_eq!(texts.pop().as_deref(), Some("last"));
        all.push(texts);
    }
    all
}

async fn an_event_published_after_a_group_is_heard_reaches_every_node_with_members_once(world: World) {
    for round in 0..50 {
        let group = Group::new(&format!("group {round}"));
        for node in &world.nodes {
            node.enter(&group, 1).await;
            node.enter(&group, 2).await;
        }
        world.nodes[0].publish(&group, "first").await;
        for texts in last(&world, &group, 1).await {
            assert_eq!(texts, ["first"]);
        }
    }
}

async fn events_come_in_one_order_to_all_and_in_a_publishers_own(world: World) {
    let group = Group::new("聊天");
    for node in &world.nodes {
        node.enter(&group, 1).await;
    }
    let publishers = (0..4).map(|publisher| {
        let (node, group) = (&world.nodes[publisher % world.nodes.len()], &group);
        async move {
            for count in 0..50 {
                node.publish(group, &format!("{publisher} {count:02}")).await;
            }
        }
    });
    futures_util::future::join_all(publishers).await;
    let orders = last(&world, &group, 200).await;
    assert!(orders.iter().all(|order| order == &orders[0]), "the nodes heard different orders");
    for publisher in 0..4 {
        let own: Vec<_> =
            orders[0].iter().filter(|text| text.starts_with(&format!("{publisher} "))).collect();
        assert_eq!(own.len(), 50);
        assert!(own.is_sorted(), "publisher {publisher} was heard as {own:?}");
    }
}

async fn a_node_hears_nothing_of_a_group_that_its_last_member_left(world: World) {
    let (left, kept) = (Group::new("left"), Group::new("kept"));
    for node in &world.nodes {
        for round in 0..20 {
            node.enter(&left, round).await;
            node.layer.leave(&left, round);
        }
        node.enter(&kept, 1).await;
        node.wait_for_members(&left, 0).await;
    }
    if let Some(redis) = &world.redis {
        redis.wait_for_subscribers("asgi__group__left", 0).await;
    }
    world.nodes[0].publish(&left, "to nobody").await;
    last(&world, &kept, 0).await;
    assert!(world.nodes.iter().all(|node| node.texts(&left).is_empty()));
}

async fn members_of_all_nodes_are_counted(world: World) {
    let group = Group::new("counted");
    for node in &world.nodes {
        for member in 0..3 {
            node.enter(&group, member).await;
        }
        node.layer.leave(&group, 0);
    }
    for node in &world.nodes {
        node.wait_for_members(&group, 2 * world.nodes.len()).await;
    }
}

async fn one_node_publishes_each_tick_and_none_before_its_time(world: World) {
    let group = Group::new("ticking");
    for node in &world.nodes {
        node.enter(&group, 1).await;
        let tick = node.layer.tick(&group, &event("early"), PERIOD).await.expect("an answer");
        assert_eq!(tick, None, "a ticker that nobody started");
    }
    let start = Instant::now();
    for node in &world.nodes {
        node.layer.start_ticker(&group, PERIOD).await.expect("a ticker");
        until(PATIENCE, "the node to hear of the ticker", async || {
            let started = node.heard.started.lock().unwrap().clone();
            holds(started.contains(&group.name().to_owned()), || format!("{started:?}"))
        })
        .await;
    }
    while start.elapsed() < PERIOD * 7 / 2 {
        for node in &world.nodes {
            let next = node.layer.tick(&group, &event("tick"), PERIOD).await.expect("an answer");
            assert!(next.is_some_and(|next| next <= PERIOD), "{next:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let whole_periods = start.elapsed().as_millis() / PERIOD.as_millis();
    for node in &world.nodes {
        node.layer.stop_ticker(&group).await.expect("a stop");
        assert_eq!(node.layer.tick(&group, &event("late"), PERIOD).await.expect("an answer"), None);
    }
    let ticks = usize::try_from(whole_periods).unwrap();
    for texts in last(&world, &group, ticks).await {
        assert_eq!(texts, vec!["tick"; ticks]);
    }
}

/// Each clause as a test for each layer.
macro_rules! clauses {
    ($($clause:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $clause() { super::$clause(super::World::memory()).await; })*
        }
        mod redis {
            $(#[tokio::test] async fn $clause() { super::$clause(super::World::redis().await).await; })*
        }
    };
}

clauses! {
    an_event_published_after_a_group_is_heard_reaches_every_node_with_members_once
    events_come_in_one_order_to_all_and_in_a_publishers_own
    a_node_hears_nothing_of_a_group_that_its_last_member_left
    members_of_all_nodes_are_counted
    one_node_publishes_each_tick_and_none_before_its_time
}
