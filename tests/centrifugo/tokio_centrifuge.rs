//! The crate `tokio-centrifuge`, unmodified: its client, which knows neither recovery nor presence
//! nor history, and its messages, by which these are asked for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_centrifuge::client::{Client, RequestError, State};
use tokio_centrifuge::config::{BackoffReconnect, Config, Protocol};
use tokio_centrifuge::protocol::{
    Command, ConnectRequest, HistoryRequest, PresenceRequest, PresenceStatsRequest, Publication, Reply,
    RpcRequest, StreamPosition, SubscribeRequest,
};
use tokio_centrifuge::subscription::Subscription;

use crate::support::centrifugo::{plan, token_of};
use crate::support::encoded_client::{ENCODINGS, EncodedClient, path_of};
use crate::support::metrics::metric;
use crate::support::nginx::Nginx;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::wait::{PATIENCE, holds, seconds, until, within};

/// Three nodes behind nginx, which sends each connection to any of them.
struct Site {
    _redis: Redis,
    nodes: [Node; 3],
    nginx: Nginx,
}

impl Site {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let plan = plan().redis(&redis);
        let nodes = [plan.start().await, plan.start().await, plan.start().await];
        let nginx = Nginx::start(nodes.each_ref().map(|node| node.address().port())).await;
        Self { _redis: redis, nodes, nginx }
    }

    /// The node with the most sockets.
    async fn busiest(&self) -> usize {
        let mut sockets = Vec::new();
        for node in &self.nodes {
            sockets.push(metric(node, "parlor_sockets").await);
        }
        let most = sockets.iter().max().expect("three nodes");
        assert!(*most > 0, "{sockets:?}");
        sockets.iter().position(|count| count == most).expect("the most")
    }
}

/// What a subscription of the library has received.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<Publication>>>);

impl Received {
    fn by(subscription: &Subscription) -> Self {
        let received = Self::default();
        let all = Arc::clone(&received.0);
        subscription.on_publication(move |publication| all.lock().unwrap().push(publication));
        received
    }

    fn all(&self) -> Vec<Publication> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for this many publications.
    async fn wait_for(&self, count: usize) -> Vec<Publication> {
        until(PATIENCE, &format!("{count} publications"), async || {
            let all = self.all();
            if all.len() >= count { Ok(all) } else { Err(format!("{all:?}")) }
        })
        .await
    }
}

fn client(address: SocketAddr, encoding: Protocol, token: &str) -> Client {
    let at_once = Duration::from_millis(50);
    let backoff = BackoffReconnect { factor: 1.0, min_delay: at_once, max_delay: at_once };
    let config = Config { protocol: encoding, ..Config::new() };
    let config = config.with_token(token).with_reconnect_strategy(backoff);
    Client::new(&format!("ws://{address}{}", path_of(encoding)), config)
}

fn number(publication: &Publication) -> u64 {
    let data: Value = serde_json::from_slice(&publication.data).expect("JSON");
    data["n"].as_u64().expect("a number")
}

fn numbered(n: u64) -> Vec<u8> {
    json!({ "n": n }).to_string().into_bytes()
}

#[tokio::test]
async fn its_client_subscribes_and_publishes_across_nodes() {
    let site = Site::start().await;
    for encoding in ENCODINGS {
        let channel = format!("{encoding:?}").to_lowercase();
        let [ann, bob] = ["ann", "bob"].map(|user| client(site.nginx.address(), encoding, &token_of(user)));
        let [own, other] = [&ann, &bob].map(|client| client.new_subscription(&channel));
        let [received, echoed] = [&own, &other].map(Received::by);
        for connecting in [ann.connect(), bob.connect()] {
            assert_eq!(within(PATIENCE, "a connection", connecting.into_future()).await, Ok(()));
        }
        assert!(ann.server_info().server_version.starts_with("parlor "), "{:?}", ann.server_info());
        assert_ne!(ann.server_info().client_id, bob.server_info().client_id);
        for subscribing in [own.subscribe(), other.subscribe()] {
            assert_eq!(within(PATIENCE, "a subscription", subscribing.into_future()).await, Ok(()));
        }
        for n in 1..=3 {
            other.publish(numbered(n)).await.expect("a publication");
        }
        ann.publish(&channel, numbered(4)).await.expect("a publication");
        for all in [received.wait_for(4).await, echoed.wait_for(4).await] {
            assert_eq!(all.iter().map(number).collect::<Vec<_>>(), [1, 2, 3, 4]);
            assert_eq!(all.iter().map(|each| each.offset).collect::<Vec<_>>(), [1, 2, 3, 4]);
            let users = all.iter().map(|each| each.info.as_ref().expect("a client").user.clone());
            assert_eq!(users.collect::<Vec<_>>(), ["bob", "bob", "bob", "ann"]);
        }
        match ann.rpc("none", numbered(0)).await {
            Err(RequestError::ErrorResponse(error)) => assert_eq!(error.code, 108),
            other => panic!("{other:?}"),
        }
        within(PATIENCE, "the end of a subscription", own.unsubscribe().into_future()).await;
        other.publish(numbered(5)).await.expect("a publication");
        echoed.wait_for(5).await;
        let again = ann.new_subscription("another");
        assert_eq!(within(PATIENCE, "a subscription", again.subscribe().into_future()).await, Ok(()));
        assert_eq!(received.all().len(), 4, "nothing after it has unsubscribed");
        for client in [ann, bob] {
            within(PATIENCE, "the end", client.disconnect().into_future()).await;
        }
    }
    for encoding in ENCODINGS {
        let stranger = client(site.nginx.address(), encoding, "no token");
        assert_eq!(within(PATIENCE, "a refusal", stranger.connect().into_future()).await, Err(()));
    }
}

#[tokio::test]
async fn its_client_goes_on_at_another_node_when_its_own_is_killed() {
    let mut site = Site::start().await;
    let mut readers = Vec::new();
    for encoding in [ENCODINGS, ENCODINGS, ENCODINGS].concat() {
        let client = client(site.nginx.address(), encoding, &token_of("ann"));
        let subscription = client.new_subscription("lobby");
        let (received, count) = (Received::by(&subscription), Arc::new(Mutex::new(0)));
        let subscribed = Arc::clone(&count);
        subscription.on_subscribed(move |_| *subscribed.lock().unwrap() += 1);
        assert_eq!(within(PATIENCE, "a connection", client.connect().into_future()).await, Ok(()));
        assert_eq!(within(PATIENCE, "a subscription", subscription.subscribe().into_future()).await, Ok(()));
        readers.push((client, received, count));
    }
    let victim = site.busiest().await;
    let mut writer =
        EncodedClient::connect(site.nodes[(victim + 1) % 3].address(), Protocol::Json, "bob").await;
    writer.subscribe("lobby").await;
    writer.publish("lobby", &json!({ "n": 1 })).await;
    for (_, received, _) in &readers {
        received.wait_for(1).await;
    }
    let lost = metric(&site.nodes[victim], "parlor_sockets").await;
    site.nodes[victim].kill();
    until(seconds(20), "the clients of the killed node to have subscribed again", async || {
        let counts: Vec<i64> = readers.iter().map(|(_, _, count)| *count.lock().unwrap()).collect();
        let again = counts.iter().sum::<i64>() - 6;
        holds(
            again >= lost && readers.iter().all(|(client, _, _)| client.state() == State::Connected),
            || format!("{counts:?}, {lost} lost"),
        )
    })
    .await;
    writer.publish("lobby", &json!({ "n": 2 })).await;
    for (_, received, _) in &readers {
        let all = received.wait_for(2).await;
        let seen: Vec<_> = all.iter().map(|each| (number(each), each.offset)).collect();
        assert_eq!(seen, [(1, 1), (2, 2)]);
    }
}

#[tokio::test]
async fn its_messages_ask_for_presence_and_history() {
    let site = Site::start().await;
    for encoding in ENCODINGS {
        let channel = format!("{encoding:?}").to_lowercase();
        let name = || channel.clone();
        let mut ann = EncodedClient::connect(site.nodes[0].address(), encoding, "ann").await;
        let mut bob = EncodedClient::connect(site.nodes[1].address(), encoding, "bob").await;
        let start = ann.subscribe(&channel).await;
        assert!((start.recoverable, start.positioned, start.offset) == (true, true, 0), "{start:?}");
        bob.subscribe(&channel).await;
        for n in 1..=5 {
            bob.publish(&channel, &json!({ "n": n })).await;
        }
        let Reply::Presence(presence) =
            ann.call(Command::Presence(PresenceRequest { channel: name() })).await
        else {
            panic!("no presence");
        };
        let users: BTreeSet<&str> = presence.presence.values().map(|info| &*info.user).collect();
        assert_eq!(users, BTreeSet::from(["ann", "bob"]), "{presence:?}");
        assert!(presence.presence.iter().all(|(id, info)| *id == info.client), "{presence:?}");
        // In JSON it writes `presenceStats` for `presence_stats`, which is no command.
        if encoding == Protocol::Protobuf {
            let stats = PresenceStatsRequest { channel: name() };
            let Reply::PresenceStats(stats) = ann.call(Command::PresenceStats(stats)).await else {
                panic!("no figures");
            };
            assert_eq!((stats.num_clients, stats.num_users), (2, 2));
        }
        let since = |offset| Some(StreamPosition { offset, epoch: start.epoch.clone() });
        for (limit, since, reverse, expected) in [
            (-1, None, false, vec![1, 2, 3, 4, 5]),
            (2, None, true, vec![5, 4]),
            (2, since(2), false, vec![3, 4]),
            (0, None, false, vec![]),
        ] {
            let request = HistoryRequest { channel: name(), limit, since, reverse };
            let Reply::History(history) = ann.call(Command::History(request)).await else {
                panic!("no history");
            };
            assert_eq!((history.offset, &history.epoch), (5, &start.epoch));
            assert_eq!(history.publications.iter().map(number).collect::<Vec<_>>(), expected);
        }
        let foreign = Some(StreamPosition { offset: 1, epoch: "f".to_owned() });
        let request = HistoryRequest { channel: name(), limit: 1, since: foreign, reverse: false };
        assert_eq!(ann.error(Command::History(request)).await, 112);
        assert_eq!(ann.error(Command::Rpc(RpcRequest::default())).await, 108);
    }
}

/// Connects by way of the proxy again and again, each time from the position it has, until it has
/// received `count` publications. Returns their numbers, and how often it has connected.
async fn follow(
    proxy: SocketAddr,
    encoding: Protocol,
    count: usize,
    ready: Arc<Mutex<usize>>,
) -> (Vec<u64>, usize) {
    let (mut numbers, mut position, mut connections) = (Vec::new(), None::<StreamPosition>, 0);
    while numbers.len() < count {
        let Ok(mut client) = EncodedClient::try_open(proxy, encoding).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connect = ConnectRequest { token: token_of("ann"), ..ConnectRequest::default() };
        let Some(Reply::Connect(_)) = client.try_call(Command::Connect(connect)).await else { continue };
        let at = position.clone().unwrap_or_default();
        let (recover, channel) = (position.is_some(), "lobby".to_owned());
        let request = SubscribeRequest {
            channel,
            recover,
            offset: at.offset,
            epoch: at.epoch,
            ..SubscribeRequest::default()
        };
        let subscribed = match client.try_call(Command::Subscribe(request)).await {
            Some(Reply::Subscribe(subscribed)) => subscribed,
            Some(Reply::Error(error)) => {
                assert!(error.temporary, "{error:?}");
                continue;
            }
            _ => continue,
        };
        assert_eq!(subscribed.recovered, recover, "{subscribed:?}");
        connections += 1;
        if !recover {
            *ready.lock().unwrap() += 1;
        }
        let mut at = StreamPosition { offset: subscribed.offset, epoch: subscribed.epoch };
        let mut missed = subscribed.publications.into_iter();
        while numbers.len() < count {
            let next = match missed.next() {
                Some(publication) => Some(publication),
                None => client.try_publication("lobby").await,
            };
            let Some(publication) = next else { break };
            at.offset = publication.offset;
            numbers.push(number(&publication));
        }
        position = Some(at);
    }
    (numbers, connections)
}

#[tokio::test]
async fn by_its_messages_each_publication_is_received_once_and_in_order() {
    const READERS: usize = 8;
    const PUBLICATIONS: u64 = 60;
    let mut site = Site::start().await;
    let (ready, mut readers) = (Arc::<Mutex<usize>>::default(), JoinSet::new());
    for copy in 0..READERS {
        let count = usize::try_from(PUBLICATIONS).unwrap();
        readers.spawn(follow(site.nginx.address(), ENCODINGS[copy % 2], count, Arc::clone(&ready)));
    }
    until(PATIENCE, "the readers to have subscribed", async || {
        let ready = *ready.lock().unwrap();
        holds(ready == READERS, || ready.to_string())
    })
    .await;
    let victim = site.busiest().await;
    let other = site.nodes[(victim + 1) % 3].address();
    let mut writer = EncodedClient::connect(other, Protocol::Protobuf, "bob").await;
    writer.subscribe("lobby").await;
    for n in 1..=PUBLICATIONS {
        writer.publish("lobby", &json!({ "n": n })).await;
        if n == PUBLICATIONS / 3 {
            site.nodes[victim].kill();
        }
    }
    let expected: Vec<u64> = (1..=PUBLICATIONS).collect();
    let mut most = 0;
    while let Some(read) = timeout(seconds(30), readers.join_next()).await.expect("the readers to end") {
        let (numbers, connections) = read.expect("a reader");
        assert_eq!(numbers, expected, "once and in order, by {connections} connections");
        most = most.max(connections);
    }
    assert!(most > 1, "a reader was at the killed node");
}
