//! Short stops, such as a subscription that is replaced at once. Clients notice a delay, and no
//! error.

use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, fresh_id};
use crate::support::wait::PATIENCE;

#[tokio::test]
async fn a_client_joins_while_a_lost_subscription_is_replaced() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = V1Client::join(&node, "lobby").await;
    for round in 0..20 {
        let killed: i64 = redis.query(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(killed, 1, "the subscription of round {round}");
        let mut joined = V1Client::join(&node, "lobby").await;
        let text = format!("round {round}");
        joined.publish_until_acked(&fresh_id(), &text, PATIENCE).await;
        assert_eq!(member.receive().await["text"], text);
        assert_eq!(joined.receive().await["text"], text);
    }
}
