//! The browser's own `EventSource` on a room.

use super::rooms::ENGLISH;
use crate::support::browser::Browser;
use crate::support::event_stream::stream_of;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::wait::{PATIENCE, holds, until};

#[tokio::test]
async fn an_event_source_survives_an_outage_of_redis() {
    let (mut redis, browser) = tokio::join!(Redis::start(), Browser::start());
    let node = Node::on(&redis).await;
    let window = browser.window(ENGLISH).await;
    window.open(&format!("http://{}/accounts/login/", node.address())).await;
    redis.kill();
    until(PATIENCE, "the node to be not ready", async || {
        let status = Request::get("/readyz").send(&node).await.status;
        holds(status == 503, || status.to_string())
    })
    .await;
    let script = format!(
        "window.errors = 0; window.types = []; window.source = new EventSource('{}');
         source.onerror = () => errors++;
         source.onmessage = (event) => types.push(JSON.parse(event.data).type);",
        stream_of("lobby")
    );
    window.run(&script, &[]).await;
    window.wait_until("the stream to end and to wait", "errors > 0 && source.readyState === 0", &[]).await;
    redis.restart().await;
    window.wait_until("the stream to return by itself", "types[0] === 'welcome'", &[]).await;
}
