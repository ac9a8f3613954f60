//! Pages and their files: languages, the cookie, the room's name in JSON, entity tags, and
//! development from disk.

use std::fs;
use std::path::Path;

use regex::Regex;

use super::http::linked;
use crate::support::assets::Assets;
use crate::support::http::{Request, Response};
use crate::support::node::Node;

async fn page(node: &Node, target: &str) -> Response {
    let response = Request::get(target).send(node).await;
    assert_eq!((response.status, response.content_type()), (200, "text/html"), "{target}: {response:?}");
    assert!(response.header("content-type").unwrap().to_ascii_lowercase().contains("utf-8"));
    response
}

#[tokio::test]
async fn the_room_page_has_the_parts_of_the_tutorial() {
    let node = Node::alone().await;
    let room = page(&node, "/chat/lobby/").await;
    for part in ["id=\"chat-log\"", "id=\"chat-message-input\"", "发送消息", "获取后端数据"] {
        assert!(room.body.contains(part), "{part} in the room's page: {}", room.body);
    }
    let home = page(&node, "/chat/").await;
    assert!(home.body.contains("<form") || home.body.contains("<input"), "{}", home.body);
}

#[tokio::test]
async fn pages_load_no_inline_or_external_resources() {
    let node = Node::alone().await;
    let tag = Regex::new(r"(?s)<script\b([^>]*)>(.*?)</script>").unwrap();
    let handler = Regex::new(r"<[^>]*\s(on[a-z]+|style)\s*=").unwrap();
    for target in ["/chat/", "/chat/lobby/"] {
        let body = page(&node, target).await.body;
        for script in tag.captures_iter(&body) {
            let (head, text) = (&script[1], &script[2]);
            let data = head.contains("type=\"application/json\"");
            assert!(
                data || (head.contains("src=\"/static/") && text.trim().is_empty()),
                "{target}: {}",
                &script[0]
            );
        }
        assert!(!body.contains("<style"), "{target}: an inline style");
        assert_eq!(
            handler.find(&body).map(|found| found.as_str()),
            None,
            "{target}: an attribute with script or style"
        );
        assert!(
            !body.contains("http://") && !body.contains("https://"),
            "{target}: something from elsewhere"
        );
    }
}

#[tokio::test]
async fn the_room_name_is_embedded_as_django_writes_it() {
    let node = Node::alone().await;
    for (path, json) in [
        ("lobby", r#""lobby""#),
        ("a%20b", r#""a b""#),
        ("a.b-c_d", r#""a.b-c_d""#),
        ("%E8%81%8A%E5%A4%A9", r#""\u804a\u5929""#),
        ("caf%C3%A9", r#""caf\u00e9""#),
        ("cafe%CC%81", r#""caf\u00e9""#),
        // A letter outside the basic plane is a surrogate pair.
        ("%F0%9D%92%B3", r#""\ud835\udcb3""#),
    ] {
        let body = page(&node, &format!("/chat/{path}/")).await.body;
        let wanted = format!(r#"<script id="room-name" type="application/json">{json}</script>"#);
        assert!(body.contains(&wanted), "{wanted} in the page of {path}: {body}");
    }
}

#[tokio::test]
async fn an_invalid_name_is_not_reflected_as_markup() {
    let node = Node::alone().await;
    let response = Request::get("/chat/%3Cscript%3Ealert(1)%3C%2Fscript%3E/")
        .header("Accept", "text/html")
        .send(&node)
        .await;
    assert_eq!((response.status, response.content_type()), (400, "text/html"), "{response:?}");
    assert!(!response.body.contains("<script>alert"), "{}", response.body);
}

#[tokio::test]
async fn an_error_is_a_page_for_browsers_and_text_for_others() {
    let node = Node::alone().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let response = Request::get("/chat/a*b/").header("Accept", browser).send(&node).await;
    assert_eq!((response.status, response.content_type()), (400, "text/html"), "{response:?}");
    assert!(response.body.contains("64"), "the rule stands in the page: {}", response.body);
    for accept in [None, Some("*/*"), Some("application/json"), Some("text/plain")] {
        let request = Request::get("/chat/a*b/");
        let request = accept.map_or(request.clone(), |accept| request.header("Accept", accept));
        let response = request.send(&node).await;
        assert_eq!(
            (response.status, response.content_type()),
            (400, "text/plain"),
            "Accept {accept:?}: {response:?}"
        );
    }
}

#[tokio::test]
async fn sockets_and_push_answer_errors_as_text() {
    let node = Node::alone().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for request in [Request::upgrade("/ws/chat/a*b/"), Request::post("/push?room=a*b")] {
        let response = request.header("Accept", browser).send(&node).await;
        assert_eq!((response.status, response.content_type()), (400, "text/plain"), "{response:?}");
        assert!(response.body.contains("64"), "the rule: {response:?}");
    }
}

#[tokio::test]
async fn texts_follow_the_clients_language_and_default_to_chinese() {
    let node = Node::alone().await;
    let root = Regex::new(r#"<html[^>]*\blang="([a-zA-Z]+)"#).unwrap();
    let cases = [
        (None, "zh"),
        (Some("zh-CN,zh;q=0.9,en;q=0.8"), "zh"),
        (Some("zh"), "zh"),
        (Some("en"), "en"),
        (Some("en-GB,en;q=0.9"), "en"),
        (Some("EN-us"), "en"),
        (Some("zh;q=0.5, en;q=0.9"), "en"),
        (Some("fr, en;q=0.5"), "en"),
    ];
    for (accept, language) in cases {
        for target in ["/chat/", "/chat/lobby/"] {
            let request = Request::get(target);
            let request = accept.map_or(request.clone(), |accept| request.header("Accept-Language", accept));
            let response = request.send(&node).await;
            let root = root
                .captures(&response.body)
                .unwrap_or_else(|| panic!("no <html lang=…>: {}", response.body));
            assert_eq!(&root[1], language, "{target} for {accept:?}");
            if target == "/chat/lobby/" {
                assert_eq!(
                    response.body.contains("发送消息"),
                    language == "zh",
                    "{target} for {accept:?}: {}",
                    response.body
                );
            }
        }
    }
}

#[tokio::test]
async fn the_room_page_sets_a_distinct_token_for_each_visitor() {
    let node = Node::alone().await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let response = page(&node, "/chat/lobby/").await;
        let cookie = response.cookie("csrftoken").to_owned();
        let token = cookie
            .strip_prefix("csrftoken=")
            .unwrap_or_else(|| panic!("{cookie}"))
            .split(';')
            .next()
            .unwrap();
        assert!(token.len() >= 32 && token.chars().all(|c| c.is_ascii_alphanumeric()), "{cookie}");
        let attributes: Vec<_> =
            cookie.split(';').skip(1).map(|part| part.trim().to_ascii_lowercase()).collect();
        assert!(
            attributes.contains(&"path=/".to_owned()) && attributes.contains(&"samesite=lax".to_owned()),
            "{cookie}"
        );
        // The page's script reads it for the header X-CSRFToken.
        assert!(!attributes.contains(&"httponly".to_owned()), "{cookie}");
        tokens.push(token.to_owned());
    }
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn files_have_an_etag_and_answer_304() {
    let node = Node::alone().await;
    let mut files = linked(&page(&node, "/chat/").await.body);
    files.extend(linked(&page(&node, "/chat/lobby/").await.body));
    for file in files {
        let whole = Request::get(&file).send(&node).await;
        assert_eq!(whole.status, 200, "{file}");
        let kind = match Path::new(&file).extension().and_then(|end| end.to_str()) {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("svg") => "image/svg+xml",
            other => panic!("{file}: what is the type of {other:?}?"),
        };
        assert_eq!(whole.content_type(), kind, "{file}");
        let tag = whole.header("etag").unwrap_or_else(|| panic!("{file} has an ETag")).to_owned();
        for wanted in [
            tag.clone(),
            format!("\"other\", {tag}"),
            format!("W/{}", tag.trim_start_matches("W/")),
            "*".to_owned(),
        ] {
            let mut connection = crate::support::connection::Connection::connect(&node).await;
            let response =
                Request::get(&file).header("If-None-Match", &wanted).send_on(&mut connection).await;
            assert_eq!(response.status, 304, "{file} with {wanted}: {response:?}");
            assert_eq!(response.header("etag"), Some(tag.as_str()));
            assert_eq!(
                Request::get("/healthz").send_on(&mut connection).await.status,
                200,
                "a 304 has no body"
            );
        }
        let response = Request::get(&file).header("If-None-Match", "\"other\"").send(&node).await;
        assert_eq!((response.status, &response.body), (200, &whole.body), "{file}");
    }
}

#[tokio::test]
async fn files_outside_the_folder_are_not_served() {
    let assets = Assets::copy();
    for node in [Node::alone().await, Node::plan().flag("--assets", assets.path()).start().await] {
        for path in [
            "../Cargo.toml",
            "%2e%2e/Cargo.toml",
            "..%2FCargo.toml",
            "../templates/room.html",
            "/etc/passwd",
            "%2Fetc%2Fpasswd",
            "a%00b",
            "..\\Cargo.toml",
            ".",
        ] {
            let response = Request::get(&format!("/static/{path}")).send(&node).await;
            assert!(matches!(response.status, 400 | 404), "{path}: {response:?}");
        }
    }
}

#[tokio::test]
async fn files_and_templates_are_reread_from_the_assets_folder() {
    let assets = Assets::copy();
    let node = Node::plan().flag("--assets", assets.path()).start().await;
    assert!(!page(&node, "/chat/lobby/").await.body.contains("<!-- edited -->"));
    for template in fs::read_dir(assets.file("templates")).expect("templates") {
        let template = template.unwrap().path();
        let text = fs::read_to_string(&template).unwrap();
        fs::write(&template, format!("{text}<!-- edited -->")).unwrap();
    }
    assert!(page(&node, "/chat/lobby/").await.body.contains("<!-- edited -->"));
    fs::write(assets.file("static/probe.css"), "a{}").unwrap();
    let first = Request::get("/static/probe.css").send(&node).await;
    assert_eq!((first.status, first.body.as_str()), (200, "a{}"));
    fs::write(assets.file("static/probe.css"), "b{}").unwrap();
    let tag = first.header("etag").expect("an ETag");
    let second = Request::get("/static/probe.css").header("If-None-Match", tag).send(&node).await;
    assert_eq!((second.status, second.body.as_str()), (200, "b{}"));
}
