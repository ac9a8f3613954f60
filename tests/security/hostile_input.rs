//! Input that looks costly is rejected at the cost of reading it.

use crate::support::api_client::ApiClient;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::form;
use crate::support::wait::{PATIENCE, seconds, within};

/// Requests of each kind.
const COUNT: usize = 50;

/// `count` members with distinct names, as JSON.
fn members(count: usize) -> String {
    (0..count).map(|n| format!("\"{n:x}\":0")).collect::<Vec<_>>().join(",")
}

/// Sends each request [`COUNT`] times: all are rejected, in a CPU time of the node that quadratic
/// work on 100 KB exceeds a hundredfold.
async fn are_rejected_at_once(node: &Node, requests: &[Request]) {
    for request in requests {
        let text = String::from_utf8_lossy(&request.bytes(node.address())).into_owned();
        let what = format!("{COUNT} times {text:.200}");
        let before = node.cpu();
        for _ in 0..COUNT {
            let response = within(PATIENCE, &what, request.send(node)).await;
            assert!((400..500).contains(&response.status), "{what}: {response:?}");
        }
        let spent = node.cpu().saturating_sub(before);
        assert!(spent < seconds(20), "{spent:?} for {what}");
    }
}

#[tokio::test]
async fn a_body_of_many_members_costs_as_much_as_reading_it() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let api = ApiClient::with_key(&redis, "billing", "publish").await;
    let many = format!("{{{}}}", members(12_000));
    let nested = format!("{{\"rooms\":{{{}}}}}", members(12_000));
    let listed = format!("{{\"rooms\":[{}],\"message\":\"\"}}", vec!["\"a\""; 25_000].join(","));
    let deep = "[".repeat(100_000);
    let mut requests = Vec::new();
    for target in ["/api/broadcast", "/api/rooms/lobby/messages", "/api/groups/lobby/events"] {
        for body in [&many, &nested, &listed, &deep] {
            let request = api.request("POST", target).header("Content-Type", "application/json");
            requests.push(request.body(body));
        }
    }
    for body in [&many, &nested, &deep] {
        requests.push(Request::post("/chat/lobby/messages").body(body));
    }
    are_rejected_at_once(&node, &requests).await;
}

#[tokio::test]
async fn forms_and_heads_of_many_parts_cost_as_much_as_reading_them() {
    let node = Node::alone().await;
    let fields = "a&".repeat(60_000);
    let marks = "a".to_owned() + &"\u{301}\u{316}".repeat(30_000);
    let invisible = "\u{200b}".repeat(40_000);
    let mut requests = vec![form("/accounts/login/", &[]).body(&fields)];
    for name in [&marks, &invisible] {
        requests.push(form("/accounts/login/", &[("name", name), ("password", "x")]));
    }
    let list = |item: &str| item.repeat(15_000 / item.len());
    requests.extend([
        Request::post("/accounts/login/").header("Cookie", &list("csrftoken=1;")),
        Request::upgrade("/ws/inbox/").header("Sec-WebSocket-Protocol", &list("a,")),
        Request::upgrade("/ws/inbox/").with("Connection", &list("a,")),
        Request::get("/ws/inbox/").header("X-Forwarded-For", &list("1,")),
        Request::get(&format!("/sse/chat/lobby/?{}history=x", list("a&"))),
        Request::get(&format!("/nothing{}", list("/"))),
        Request::get(&format!("/chat/{}/", list("%CC%81"))),
    ]);
    are_rejected_at_once(&node, &requests).await;
}
