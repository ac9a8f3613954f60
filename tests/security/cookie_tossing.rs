//! Cookies that another host of the domain has set beside those of the site, and pages of the site
//! that came by `http`.

use crate::support::connection::Connection;
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::user::{SESSION, User};

/// The name of a client with these cookies; empty without an account.
async fn name_with(node: &Node, cookies: &str) -> String {
    let client = Handshake::to_room("lobby").with_cookies(cookies).connect(node).await;
    let name = client.welcome["name"].as_str().expect("a name");
    if name.starts_with('~') { String::new() } else { name.to_owned() }
}

#[tokio::test]
async fn of_several_sessions_the_only_valid_one_counts() {
    let node = Node::alone().await;
    let secret_of = async |name| {
        let user = User::registered(&node, name).await;
        user.cookie(SESSION).expect("a session").to_owned()
    };
    let (ann, eve) = (secret_of("ann").await, secret_of("eve").await);
    let unknown = "A".repeat(43);
    for (secrets, expected) in [
        (vec![&*ann], "ann"),
        (vec!["garbage", &ann], "ann"),
        (vec![&ann, "garbage"], "ann"),
        (vec![&unknown, &ann], "ann"),
        (vec![&ann, &ann], "ann"),
        (vec![&eve, &ann], ""),
        (vec![&ann, &unknown, &eve], ""),
        (vec!["1", "2", "3", "4", &ann], ""),
    ] {
        let cookies: Vec<String> = secrets.iter().map(|secret| format!("{SESSION}={secret}")).collect();
        assert_eq!(name_with(&node, &cookies.join("; ")).await, expected, "{secrets:?}");
    }
}

#[tokio::test]
async fn of_several_guests_none_is_believed() {
    let node = Node::alone().await;
    let (one, other) = (User::guest(&node).await, User::guest(&node).await);
    let id = one.join(&node, "lobby").await.user().to_owned();
    let (one, other) = (one.cookies(), other.cookies());
    let join = async |cookies: &str| {
        let handshake = Handshake::to_room("lobby").with_cookies(cookies);
        handshake.connect(&node).await.user().to_owned()
    };
    assert_eq!(join(&format!("parlor_guest=garbage; {one}")).await, id);
    let both = join(&format!("{other}; {one}")).await;
    assert_ne!(both, id);
}

#[tokio::test]
async fn over_https_only_cookies_of_this_host_count() {
    let node = Node::plan().flag("--trusted-proxies", "127.0.0.1").start().await;
    let mut ann = User::anonymous().with_header("X-Forwarded-Proto", "https");
    let response = ann.sign_up(&node, "ann").await;
    assert_eq!(response.status, 303, "{response:?}");
    let set = response.cookie("__Host-parlor_session");
    assert!(set.contains("; Secure") && set.contains("; Path=/") && !set.contains("Domain"), "{set}");
    assert!(ann.cookie("__Host-parlor_guest").is_some());
    assert_eq!((ann.cookie(SESSION), ann.cookie("parlor_guest")), (None, None));
    assert_eq!(ann.get(&node, "/dm/").await.status, 200);
    // A cookie without the prefix can come from any host of the domain.
    let secret = ann.cookie("__Host-parlor_session").expect("a session").to_owned();
    let mut tossed = User::anonymous().with_header("X-Forwarded-Proto", "https");
    tossed.set_cookie(SESSION, &secret);
    assert_eq!(tossed.get(&node, "/dm/").await.status, 303, "to the login");
    assert_eq!(ann.log_out(&node).await.status, 303);
    assert_eq!(ann.cookie("__Host-parlor_session"), None);
}

#[tokio::test]
async fn a_page_by_http_opens_no_socket_of_the_https_site() {
    let node = Node::plan().flag("--trusted-proxies", "127.0.0.1").start().await;
    let cookies = User::guest(&node).await.cookies();
    for (proto, scheme, status) in [
        ("https", "http", 403),
        ("https", "https", 101),
        // A proxy that does not say so may terminate TLS.
        ("http", "https", 101),
        ("http", "http", 101),
    ] {
        let origin = format!("{scheme}://{}", node.address());
        let request = Request::upgrade("/ws/chat/lobby/").header("X-Forwarded-Proto", proto);
        let request = request.header("Origin", &origin).header("Cookie", &cookies);
        let mut connection = Connection::connect(&node).await;
        let got = request.send_on(&mut connection).await.status;
        assert_eq!(got, status, "a page by {scheme}, a socket by {proto}");
        let post = Request::post("/chat/lobby/messages").header("X-Forwarded-Proto", proto);
        let post = post.header("Origin", &origin).body(r#"{"message": "hi"}"#).send(&node).await;
        assert_eq!(post.status == 403, status == 403, "{post:?}");
    }
}
