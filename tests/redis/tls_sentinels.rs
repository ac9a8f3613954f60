//! Sentinels behind TLS, with a password that is not that of the servers.

use crate::support::authority::Authority;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::sentinel::SentinelCluster;
use crate::support::v1_client::{V1Client, fresh_id};
use crate::support::wait::{PATIENCE, holds, seconds, until};

const NAME: &str = "redis.example.com";

#[tokio::test]
async fn nodes_follow_a_failover_behind_tls_and_two_passwords() {
    let authority = Authority::new("the test's");
    // Sentinels name servers by address: the certificate has another name.
    let certificate = authority.issue(&[NAME]);
    let (mut sentinels, places) =
        SentinelCluster::start_with_tls(&authority, &certificate, "of-sentinels").await;
    for redis in [&sentinels.first, &sentinels.second] {
        let user = ["ACL", "SETUSER", "parlor", "on", ">of-servers", "~*", "&*", "+@all"];
        redis.query::<String>(&user).await;
    }
    let plan = Node::plan()
        .env("REDIS_URL", &format!("rediss+sentinel://parlor:of-servers@{places}/parlor"))
        .env("PARLOR_REDIS_CA", &authority.file())
        .env("PARLOR_REDIS_TLS_NAME", NAME);
    let without_tls = sentinels.url();
    for (plan, word) in [
        (plan.clone().env("REDIS_URL", &without_tls.replace("redis", "rediss")), "speaks no TLS"),
        (Node::plan().env("REDIS_URL", &format!("redis+sentinel://{places}/parlor")), "speaks TLS"),
        (plan.clone(), "the Sentinel at 127.0.0.1"),
        (plan.clone().env("PARLOR_REDIS_SENTINEL_PASSWORD", "of-servers"), "WRONGPASS"),
    ] {
        let text = plan.ended_with(2).await;
        assert!(text.contains(word), "{word} in {text:?}");
        assert!(!text.contains("of-servers"), "{text:?}");
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "of-sentinels\n").expect("a file");
    let path = file.path().to_str().expect("UTF-8");
    let near = plan.clone().flag("--redis-sentinel-password-file", path).start().await;
    let far = plan.env("PARLOR_REDIS_SENTINEL_PASSWORD", "of-sentinels").start().await;
    let mut ann = V1Client::join(&near, "lobby").await;
    let mut bob = V1Client::join(&far, "lobby").await;
    ann.publish("before").await;
    assert_eq!(bob.receive().await["text"], "before");
    sentinels.first.kill();
    sentinels.wait_for_failover().await;
    ann.publish_until_acked(&fresh_id(), "after", seconds(30)).await;
    until(PATIENCE, "the message at the other node", async || {
        let frame = bob.receive_any(&["message"], PATIENCE).await;
        holds(frame["text"] == "after", || frame.to_string())
    })
    .await;
    for node in [&near, &far] {
        until(PATIENCE, "/readyz to be 200", async || {
            let response = Request::get("/readyz").send(node).await;
            holds(response.status == 200, || format!("{response:?}"))
        })
        .await;
    }
}
