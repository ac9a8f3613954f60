//! Pages of other origins on the HTTP transports.

use crate::support::centrifugo::plan;
use crate::support::connection::Connection;
use crate::support::http::{Request, Response};
use crate::support::node::Node;

/// The origin of the pages that may, and of those that may not.
const FRIEND: &str = "https://app.example.org";
const STRANGER: &str = "https://evil.example";

/// A request to each path, and the status of its answer.
fn requests() -> [(Request, u16); 7] {
    let post = |path: &str, body: &str| Request::post(path).body(body);
    [
        (post("/connection/http_stream", r#"{"id":1,"connect":{}}"#), 200),
        (post("/connection/http_stream", ""), 400),
        (post("/connection/sse", r#"{"id":1,"connect":{}}"#), 200),
        (post("/emulation", r#"{"node":"x","session":"y","data":""}"#), 404),
        (post("/connection/uni_http_stream", "{}"), 200),
        (post("/connection/uni_sse", "{}"), 200),
        (Request::get("/connection/uni_sse"), 200),
    ]
}

/// The status and the headers, because a stream does not end.
async fn head(node: &Node, request: &Request) -> Response {
    let mut connection = Connection::connect(node).await;
    connection.send(&request.bytes(node.address())).await;
    let head = connection.response_head().await;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    Response {
        status: status.parse().expect("a number"),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: String::new(),
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_read_what_the_http_transports_answer() {
    let node = plan().flag("--allowed-origins", "app.example.org").start().await;
    for (request, status) in requests() {
        for site in [None, Some("cross-site")] {
            let request = request.clone().header("Origin", FRIEND);
            let request = site.iter().fold(request, |request, site| request.header("Sec-Fetch-Site", site));
            let answer = head(&node, &request).await;
            assert_eq!(answer.status, status, "{request:?}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(FRIEND), "{request:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{request:?}");
            assert_eq!(answer.header("vary"), Some("Origin"), "{request:?}");
            assert_eq!(answer.header("access-control-allow-methods"), None, "{request:?}");
        }
        for origin in [STRANGER, "null", "https://app.example.org.evil.example"] {
            let answer = head(&node, &request.clone().header("Origin", origin)).await;
            assert_eq!(answer.status, 403, "{origin} {request:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin} {request:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{origin} {request:?}");
        }
        let answer = head(&node, &request).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, None));
    }
}

#[tokio::test]
async fn a_preflight_names_what_a_page_may_send() {
    let node = plan().flag("--allowed-origins", "app.example.org").start().await;
    for path in ["http_stream", "sse", "uni_sse", "uni_http_stream"].map(|name| format!("/connection/{name}"))
    {
        let request = Request::new("OPTIONS", &path).header("Access-Control-Request-Method", "POST");
        let friend = request.clone().header("Origin", FRIEND).send(&node).await;
        assert_eq!(friend.status, 204, "{path}: {friend:?}");
        assert_eq!(friend.header("access-control-allow-origin"), Some(FRIEND));
        assert_eq!(friend.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(friend.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
        let headers = friend.header("access-control-allow-headers").expect("headers");
        assert!(headers.split(", ").any(|name| name == "content-type"), "{headers}");
        let stranger = request.header("Origin", STRANGER).send(&node).await;
        assert_eq!((stranger.status, stranger.header("vary")), (204, Some("Origin")), "{path}: {stranger:?}");
        assert!(!stranger.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{stranger:?}");
    }
    let emulation = Request::new("OPTIONS", "/emulation").header("Origin", FRIEND).send(&node).await;
    assert_eq!(emulation.header("access-control-allow-methods"), Some("POST, OPTIONS"), "{emulation:?}");
    // The pages of this site are for its own origin.
    for path in ["/chat/", "/sse/chat/lobby/", "/api/rooms", "/centrifugo/api/info"] {
        let other = Request::new("OPTIONS", path).header("Origin", FRIEND).send(&node).await;
        assert_eq!(other.header("access-control-allow-origin"), None, "{path}: {other:?}");
    }
}

#[tokio::test]
async fn any_origin_is_named_and_never_a_star() {
    let node = plan().flag("--allowed-origins", "*").start().await;
    for origin in [STRANGER, "null"] {
        let answer = head(&node, &Request::get("/connection/uni_sse").header("Origin", origin)).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)));
    }
}
