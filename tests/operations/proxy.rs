//! What nginx forwards and what it answers itself: `deploy/nginx.conf` and `deploy/proxy.conf`.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::centrifugo::CentrifugoClient;
use crate::support::connection::Connection;
use crate::support::frame::{Frame, TEXT};
use crate::support::http::{Request, Response};
use crate::support::nginx::Nginx;
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, holds, seconds, until, within};

/// nginx takes the address in `X-Test-Client` for the client's when a request comes from
/// `127.0.0.1`.
const ANYWHERE: &str = "set_real_ip_from 127.0.0.1; real_ip_header X-Test-Client;";

async fn ask(nginx: &Nginx, request: &Request) -> Response {
    request.send_on(&mut Connection::connect_to(nginx.address()).await).await
}

/// Starts nginx before this one node.
async fn before(node: &Node, directives: &str) -> Nginx {
    Nginx::with([node.address().port(); 3], directives).await
}

/// The head of a request as it reaches a node: its first line and its headers, sorted.
async fn handed_on(request: &Request, directives: &str) -> (String, Vec<String>) {
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let nginx = Nginx::with([upstream.local_addr().unwrap().port(); 3], directives).await;
    let serve = async {
        let (mut stream, _) = upstream.accept().await.expect("a connection from nginx");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.expect("a head");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("an answer");
        String::from_utf8(head).expect("a head in ASCII")
    };
    let (head, response) =
        within(PATIENCE, "nginx to hand on a request", async { tokio::join!(serve, ask(&nginx, request)) })
            .await;
    assert_eq!(response.status, 200, "{response:?}");
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let first = lines.next().unwrap();
    let mut headers: Vec<String> =
        lines.map(|line| line.replace(&nginx.address().to_string(), "SITE")).collect();
    headers.sort();
    (first, headers)
}

#[tokio::test]
async fn nginx_forwards_host_scheme_and_client_address() {
    let lie =
        Request::get("/chat/").header("X-Forwarded-For", "198.51.100.7").header("X-Forwarded-Proto", "https");
    let wanted = ["Host: SITE", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"];
    assert_eq!(
        handed_on(&lie.header("Connection", "close"), "").await.1,
        wanted,
        "not what the client says of itself"
    );
    let far = Request::get("/ws/chat/lobby/").header("X-Test-Client", "203.0.113.9");
    let headers = handed_on(&far, ANYWHERE).await.1;
    assert!(headers.contains(&"X-Forwarded-For: 203.0.113.9".to_owned()), "{headers:?}");
}

#[tokio::test]
async fn nginx_forwards_the_path_unchanged() {
    for path in ["/chat/a%2Fb/?room=%2e%2e", "/ws/chat/%2e%2e/", "/chat//", "/ws/chat/%E8%81%8A%e5%a4%a9/"] {
        assert_eq!(handed_on(&Request::get(path), "").await.0, format!("GET {path} HTTP/1.1"));
    }
}

#[tokio::test]
async fn nginx_keeps_sockets_of_centrifugo_in_a_quiet_channel() {
    let node = Node::alone().await;
    let nginx = before(&node, "").await;
    let mut ann = CentrifugoClient::open_at(nginx.address()).await;
    ann.result("connect", &json!({})).await;
    ann.subscribe("lobby").await;
    // A page may take 6 s; the node pings a socket every 25 s.
    ann.stays_connected(seconds(8)).await;
    ann.publish("lobby", &json!(1)).await;
    assert_eq!(ann.data("lobby", 1).await, [json!(1)]);
}

#[tokio::test]
async fn nginx_forwards_sockets_and_rejected_names() {
    let node = Node::alone().await;
    let nginx = before(&node, "").await;
    let mut ann = Connection::connect_to(nginx.address()).await.upgrade("/ws/chat/lobby/").await;
    ann.send_frame(&Frame::text(r#"{"message": "hi"}"#)).await;
    assert_eq!(
        ann.frame_with_opcode(TEXT, PATIENCE).await.payload,
        r#"{"message": "[收到消息] hi"}"#.as_bytes()
    );
    for name in ["a%2Fb", "%2e%2e", "a*b", ""] {
        for request in
            [Request::get(&format!("/chat/{name}/")), Request::upgrade(&format!("/ws/chat/{name}/"))]
        {
            let response = ask(&nginx, &request).await;
            assert!(response.status == 400 && response.body.contains("64"), "{name:?}: {response:?}");
        }
    }
}

#[tokio::test]
async fn nginx_and_a_node_have_the_same_size_limits() {
    let node = Node::alone().await;
    let nginx = before(&node, "").await;
    let push = Request::post("/push?room=lobby");
    assert_eq!(ask(&nginx, &push.clone().body("x".repeat(131_072))).await.status, 200);
    assert_eq!(ask(&nginx, &push.body("x".repeat(131_073))).await.status, 413);
    for size in [17_000, 40_000] {
        let request = Request::get("/chat/").header("Cookie", &"x".repeat(size));
        assert_eq!(ask(&nginx, &request).await.status, 431, "a head of {size} bytes");
    }
}

#[tokio::test]
async fn nginx_logs_no_invitation_links() {
    let node = Node::alone().await;
    let nginx = before(&node, "").await;
    for path in ["/invite/AbCdEfGhIjKlMnOp/?x=y", "/%69nvite/AbCdEfGhIjKlMnOp/", "/chat/lobby/"] {
        ask(&nginx, &Request::get(path)).await;
    }
    until(PATIENCE, "the requests to be logged", async || {
        let log = nginx.access_log();
        holds(log.matches("GET /invite/-/ ").count() == 2 && log.contains("GET /chat/lobby/ "), || {
            log.clone()
        })
    })
    .await;
    assert!(!nginx.access_log().contains("AbCdEf"), "{}", nginx.access_log());
}

#[tokio::test]
async fn metrics_are_visible_only_locally() {
    let node = Node::alone().await;
    let nginx = before(&node, ANYWHERE).await;
    let near = ask(&nginx, &Request::get("/metrics")).await;
    assert!(near.status == 200 && near.body.contains("parlor_sockets"), "{near:?}");
    let far = |path| Request::get(path).header("X-Test-Client", "203.0.113.9");
    assert_eq!(ask(&nginx, &far("/healthz")).await.status, 200, "the rest is public");
    for path in [
        "/metrics",
        "/metrics/",
        "/metrics?x",
        "/%6detrics",
        "//metrics",
        "/chat/../metrics",
        "/metrics/../metrics",
    ] {
        assert_eq!(ask(&nginx, &far(path)).await.status, 403, "{path} from elsewhere");
    }
}
