//! Nodes of the version before on the same Redis, as in a rolling update: what they append and
//! remember is played by their script. `make rolling` runs their program.

use serde_json::json;

use crate::support::event_stream::post;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::version_before::VersionBefore;

/// The entries of a log: their ids, and their fields with names and values in turn.
type Entries = Vec<(String, Vec<Vec<u8>>)>;

#[tokio::test]
async fn a_message_that_is_sent_again_is_known_to_both_versions() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let before = VersionBefore::new(&redis, "chat_lobby");
    let body = json!({ "message": "hi", "id": "post-1" });
    let first = post(&node, "lobby", &body).await.json();
    let key = redis.keys("parlor:sent:*").await.pop().expect("a key");
    let value: String = redis.query(&["GET", &key]).await;
    let (id, digest) = value.split_once(' ').expect("an id and a digest");
    let entries: Entries = redis.query(&["XRANGE", "parlor:log:{chat_lobby}", "-", "+"]).await;
    let (name, open) = (key.rsplit_once("}:").expect("a name").1, &entries[0].1[1]);
    assert_eq!(
        before.append_open(open, name, digest).await,
        ("known".to_owned(), first["id"].as_str().expect("an id").to_owned()),
    );
    assert_eq!(id, first["id"]);
    // The other way round.
    assert_eq!(redis.query::<i64>(&["DEL", &key]).await, 1);
    let (status, id) = before.append_open(open, name, digest).await;
    assert_eq!(status, "new");
    let again = post(&node, "lobby", &body).await.json();
    assert_eq!((&again["id"], &again["duplicate"]), (&json!(id), &json!(true)), "{again}");
    assert_eq!(redis.query::<i64>(&["XLEN", "parlor:log:{chat_lobby}"]).await, 2);
}
