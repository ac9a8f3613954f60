//! Who may start and stop a stream: pages of the same origin, and clients that are no browsers.

use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;

#[tokio::test]
async fn only_the_same_origin_may_start_and_stop() {
    let node = Node::alone().await;
    let host = node.address();
    let own = format!("http://{host}");
    let own_page = format!("http://{host}/chat/lobby/");
    let look_alike = format!("http://{host}.evil.example/");
    let cases: [(&[(&str, &str)], u16); 15] = [
        (&[], 200),
        (&[("Sec-Fetch-Site", "same-origin")], 200),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Sec-Fetch-Site", "same-site")], 403),
        (&[("Sec-Fetch-Site", "nonsense")], 403),
        (&[("Sec-Fetch-Site", "cross-site"), ("Origin", &own)], 403),
        (&[("Sec-Fetch-Site", "cross-site"), ("Referer", &own_page)], 403),
        (&[("Origin", &own)], 200),
        (&[("Origin", "http://evil.example")], 403),
        (&[("Origin", "null")], 403),
        (&[("Origin", "http://evil.example"), ("Referer", &own_page)], 403),
        (&[("Referer", &own_page)], 200),
        (&[("Referer", "http://evil.example/chat/lobby/")], 403),
        (&[("Referer", &look_alike)], 403),
        (&[("Referer", "nonsense")], 403),
    ];
    for (headers, wanted) in cases {
        for method in ["GET", "POST", "DELETE"] {
            let request = Request::new(method, "/push?room=lobby");
            let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            let response = request.send(&node).await;
            assert_eq!(response.status, wanted, "{method} with {headers:?}: {response:?}");
        }
    }
}

#[tokio::test]
async fn a_rejected_request_starts_nothing() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let response =
        Request::post("/push?room=lobby").header("Origin", "http://evil.example").send(&node).await;
    assert_eq!(response.status, 403);
    assert_eq!(redis.keys("parlor:t:*").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_page_may_start_and_stop_with_its_token() {
    let node = Node::alone().await;
    let page = Request::get("/chat/lobby/").send(&node).await;
    let cookie = page.cookie("csrftoken").split(';').next().expect("a cookie").to_owned();
    let token = cookie.split_once('=').expect("a cookie").1;
    for method in ["POST", "DELETE"] {
        // An old browser sends only its cookies.
        let request = Request::new(method, "/push?room=lobby").header("Cookie", &cookie);
        let own = format!("http://{}", node.address());
        assert_eq!(request.clone().header("X-CSRFToken", token).send(&node).await.status, 200);
        assert_eq!(request.clone().header("X-CSRFToken", "other").send(&node).await.status, 403);
        assert_eq!(request.clone().send(&node).await.status, 403);
        let reported = request.header("Origin", &own).header("Sec-Fetch-Site", "same-origin");
        assert_eq!(reported.header("X-CSRFToken", token).send(&node).await.status, 200);
    }
}
