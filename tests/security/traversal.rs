//! Paths that leave the folder of static files find nothing, from the binary and from a folder
//! alike.

use std::fs;

use crate::support::assets::Assets;
use crate::support::http::Request;
use crate::support::node::Node;

/// The contents of a file that must not be served.
const SECRET: &str = "xyzzy-not-public";

/// Spellings of `/` and of `.`: plain, encoded once and twice, overlong in UTF-8, and as on
/// Windows.
const SLASHES: [&str; 8] = ["/", "%2f", "%2F", "%252f", "\\", "%5c", "%255c", "%c0%af"];
const DOTS: [&str; 6] = [".", "%2e", "%2E", "%252e", "%c0%ae", "%u002e"];

/// Paths from the folder `static` to a file beside it or at the root.
fn ways_out() -> Vec<String> {
    let mut ways = Vec::new();
    for slash in SLASHES {
        for dot in DOTS {
            let up = format!("{dot}{dot}{slash}");
            for target in ["secret.txt", "templates/room.html", "Cargo.toml"] {
                ways.push(format!("{up}{target}"));
                ways.push(format!("{up}static{slash}{up}{target}"));
            }
            ways.push(format!("{}etc{slash}passwd", up.repeat(12)));
            ways.push(format!("room.js{slash}{}secret.txt", up.repeat(2)));
        }
        ways.push(format!("{slash}etc{slash}passwd"));
        ways.push(format!("....{slash}{slash}secret.txt"));
        ways.push(format!("..;{slash}secret.txt"));
    }
    for more in [
        "..",
        ".",
        "",
        "/",
        "..%00/secret.txt",
        "../secret.txt%00.js",
        "..%0d%0a/secret.txt",
        "..%09/secret.txt",
        "..?/secret.txt",
        "file:///etc/passwd",
        "C:%5csecret.txt",
        "~/secret.txt",
        "room.js/",
        "room.js%00",
        "room.js%00.css",
        "ROOM.JS",
        "%72oom.js/..",
    ] {
        ways.push(more.to_owned());
    }
    ways
}

#[tokio::test]
async fn no_path_leaves_the_static_folder() {
    let assets = Assets::copy();
    for name in ["secret.txt", "Cargo.toml"] {
        fs::write(assets.file(name), SECRET).unwrap();
    }
    for node in [Node::alone().await, Node::plan().flag("--assets", assets.path()).start().await] {
        for way in ways_out() {
            for target in [format!("/static/{way}"), format!("/static/../static/{way}")] {
                let response = Request::get(&target).send(&node).await;
                assert!(matches!(response.status, 400 | 404), "{target}: {response:?}");
                for secret in [SECRET, "root:", "[package]", "{%"] {
                    assert!(!response.body.contains(secret), "{target}: {response:?}");
                }
            }
        }
        assert_eq!(Request::get("/static/room.js").send(&node).await.status, 200, "what is there is found");
    }
}

#[tokio::test]
async fn no_header_selects_a_file() {
    let assets = Assets::copy();
    fs::write(assets.file("secret.json"), format!("{{\"home\": {{\"title\": \"{SECRET}\"}}}}")).unwrap();
    let node = Node::plan().flag("--assets", assets.path()).start().await;
    for language in
        ["../secret", "..%2fsecret", "/etc/passwd", "../../etc/passwd", "en/../../secret", "secret"]
    {
        let response = Request::get("/chat/").header("Accept-Language", language).send(&node).await;
        assert_eq!(response.status, 200, "{language}: {response:?}");
        assert!(!response.body.contains(SECRET), "{language}: {response:?}");
    }
    for name in ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Accel-Redirect", "X-Sendfile"] {
        let response = Request::get("/healthz").header(name, "/static/../secret.json").send(&node).await;
        assert_eq!((response.status, response.body.as_str()), (200, "ok\n"), "{name}");
    }
}
