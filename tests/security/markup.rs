//! Names and messages of users are text wherever they are shown.

use regex::Regex;
use serde_json::{Value, json};

use crate::support::browser::{Browser, Window};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::payload::packed;
use crate::support::redis::Redis;
use crate::support::tutorial_client::{TutorialClient, encoded};
use crate::support::user::User;
use crate::ui::rooms::{ENGLISH, has_no_errors, open_room, publish_in_page, wait_for_message};

/// Would run a script, leave its attribute or change the page if it were not text. Each would set
/// `window.pwned`.
const MARKUP: [&str; 16] = [
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned = 1\">",
    "\"><svg onload=window.pwned=1>",
    "' autofocus onfocus='window.pwned = 1",
    "\" onmouseover=\"window.pwned = 1\" x=\"",
    "<iframe srcdoc=\"<script>parent.pwned = 1</script>\"></iframe>",
    "<a href=\"javascript:window.pwned=1\">here</a>",
    "<base href=http://evil.example/><meta http-equiv=refresh content=0>",
    "<!--<script>window.pwned = 1//-->",
    "{{ 7 * 7 }}{% raw %}${window.pwned = 1}",
    "&lt;b&gt; &amp;amp; &#x3c;script&#x3e;",
    "\u{2028}window.pwned = 1\u{2029}",
    "]]><![CDATA[<b>",
    "%3Cscript%3Ewindow.pwned=1%3C/script%3E",
    "\\u003cscript\\u003ewindow.pwned=1\\u003c/script\\u003e",
];

/// Addresses that run code or hide their target.
const ADDRESSES: [&str; 8] = [
    "javascript:window.pwned=1",
    "JaVaScRiPt://evil.example/%0awindow.pwned=1",
    "data:text/html,<script>opener.pwned=1</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "http://evil.example/\"onmouseover=\"window.pwned=1",
    "https://evil.example/<script>window.pwned=1</script>",
    "http://user:secret@evil.example/",
];

/// Asserts that no script ran and that the log contains only text and the page's own safe links.
async fn stays_text(window: &Window) {
    let found = window
        .run(
            "const safe = link => link.tagName === 'A' && /^https?:$/.test(link.protocol) && link.attributes.length <= 4
                && ['noopener', 'nofollow', 'ugc'].every(word => link.rel.split(' ').includes(word));
             const inside = [...document.querySelectorAll('#messages .text *, #messages .speaker *')];
             const odd = inside.filter(one => !safe(one)).map(one => one.outerHTML);
             const scripts = [...document.querySelectorAll('#messages script, #messages [onerror], #messages [onfocus],'
                + ' #messages [onmouseover], iframe, base, meta[http-equiv], svg')].map(one => one.outerHTML);
             return [typeof window.pwned, odd, scripts]",
            &[],
        )
        .await;
    assert_eq!(found, json!(["undefined", [], []]));
}

#[tokio::test]
async fn markup_in_messages_names_and_lines_is_shown_as_text() {
    let redis = Redis::start().await;
    let (node, browser) = tokio::join!(Node::on(&redis), Browser::start());
    let ann = browser.window(ENGLISH).await;
    open_room(&ann, &format!("http://{}/chat/lobby/", node.address())).await;
    let mut plain = TutorialClient::chat(&node, "lobby").await;
    for text in MARKUP.iter().chain(&ADDRESSES) {
        plain.publish(text).await;
        wait_for_message(&ann, text).await;
    }
    publish_in_page(&ann, MARKUP[2]).await;
    wait_for_message(&ann, MARKUP[2]).await;
    // A Django process on the same Redis can write anything into any member.
    for (n, text) in MARKUP.iter().enumerate() {
        let marked = format!("{n} {text}");
        let message = packed(&[
            ("type", "chat_message".into()),
            ("message", marked.as_str().into()),
            ("user", (*text).into()),
            ("name", (*text).into()),
            ("id", (*text).into()),
        ]);
        redis.publish("asgi__group__chat_lobby", &message).await;
        wait_for_message(&ann, &marked).await;
        let line = format!("line {n} {text}");
        let line_event = packed(&[("type", "push_message".into()), ("message", line.as_str().into())]);
        redis.publish("asgi__group__lobby", &line_event).await;
        wait_for_message(&ann, &line).await;
        let typing =
            packed(&[("type", "chat_typing".into()), ("user", (*text).into()), ("name", (*text).into())]);
        redis.publish("asgi__group__chat_lobby", &typing).await;
    }
    stays_text(&ann).await;
    has_no_errors(&ann).await;
    // Also from the log, after a reload.
    open_room(&ann, &format!("http://{}/chat/lobby/", node.address())).await;
    wait_for_message(&ann, MARKUP[0]).await;
    stays_text(&ann).await;
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn a_response_never_reflects_markup() {
    let node = Node::alone().await;
    // The redirect after a log-in may name a page, percent-encoded.
    let way_on = Regex::new(r#"="/accounts/[a-z]+/\?next=[A-Za-z0-9%._~-]*""#).unwrap();
    for markup in MARKUP {
        let value = encoded(markup);
        for target in [
            format!("/chat/{value}/"),
            format!("/chat/{value}"),
            format!("/{value}"),
            format!("/static/{value}"),
            format!("/chat/?room={value}&next={value}&error={value}"),
            format!("/chat/lobby/?room={value}&history={value}&{value}"),
            format!("/push?room={value}"),
        ] {
            let ascii: String = markup.chars().filter(|sign| ('!'..='~').contains(sign)).collect();
            let headers =
                ["Referer", "User-Agent", "X-Forwarded-Host", "X-Forwarded-Proto", "Accept-Language"];
            let request = Request::get(&target)
                .header("Accept", "text/html")
                .header("Cookie", &format!("csrftoken={ascii}"));
            let request = headers.iter().fold(request, |request, name| request.header(name, &ascii));
            let response = request.send(&node).await;
            assert!(response.status < 500, "{target}: {response:?}");
            let body = way_on.replace_all(&response.body.replace("&#x2f;", "/"), "").into_owned();
            for found in [markup, &ascii, "pwned", &value] {
                assert!(!body.contains(found), "{found:?} in the answer to {target}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn form_values_come_back_as_text() {
    let node = Node::alone().await;
    let mut ann = User::registered(&node, "ann").await;
    let mut guest = User::guest(&node).await;
    for markup in MARKUP {
        let name = [("name", markup), ("password", "wrong wrong"), ("next", markup)];
        let room = [("room", markup), ("nickname", markup), ("name", markup), ("action", markup)];
        for response in [
            guest.post(&node, "/accounts/login/", &name).await,
            guest.post(&node, "/accounts/signup/", &name).await,
            guest.post(&node, "/accounts/guest/", &room).await,
            ann.post(&node, "/rooms/", &room).await,
            ann.get(&node, &format!("/dm/?user={}", encoded(markup))).await,
        ] {
            assert!((400..500).contains(&response.status), "{markup}: {response:?}");
            let is_markup = markup.contains(['<', '"', '\'']);
            assert!(!is_markup || !response.body.contains(markup), "{markup}: {response:?}");
            for sign in ["onerror=\"", "onmouseover=\"", "<svg", "<base", "<iframe"] {
                assert!(!response.body.contains(sign), "{sign} of {markup}: {response:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_room_name_appears_unchanged_in_its_page() {
    let node = Node::alone().await;
    let script = Regex::new(r#"<script id="room-name" type="application/json">([^<]*)</script>"#).unwrap();
    let title = Regex::new(r"<title>([^<]*)</title>").unwrap();
    // Names that have a meaning in templates, scripts or style sheets, although their characters
    // are allowed.
    for name in [
        "constructor",
        "__proto__",
        "null",
        "undefined",
        "NaN",
        "0",
        "-1",
        "1e9",
        "true",
        "room.name",
        "نص",
        "a b",
        "ﬁ",
        "İ",
    ] {
        let page = Request::get(&format!("/chat/{}/", encoded(name))).send(&node).await;
        assert_eq!(page.status, 200, "{name}: {page:?}");
        let found = &script.captures(&page.body).unwrap_or_else(|| panic!("{name}: {}", page.body))[1];
        assert_eq!(serde_json::from_str::<Value>(found).unwrap(), json!(name), "{name}");
        assert!(found.is_ascii(), "{found}");
        let title = &title.captures(&page.body).unwrap_or_else(|| panic!("{name}: {}", page.body))[1];
        assert!(title.starts_with(name), "{title}");
        let room = page.body.split("<main").nth(1).expect("the room");
        assert!(room.contains(&format!("data-push=\"/push?room={}\"", utf8(name))), "{name}: {room}");
    }
}

/// The name as one path segment, with only unreserved characters left as they are (RFC 3986,
/// section 2.3).
fn utf8(name: &str) -> String {
    ["%2D", "%2E", "%5F", "%7E"]
        .iter()
        .zip(["-", ".", "_", "~"])
        .fold(encoded(name), |path, (code, sign)| path.replace(code, sign))
}
