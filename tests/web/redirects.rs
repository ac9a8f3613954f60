//! Redirects after a form lead to a page of this host, whatever the URL or the form says.

use crate::support::http::Response;
use crate::support::node::Node;
use crate::support::tutorial_client::encoded;
use crate::support::user::User;

/// What browsers take for another host, for a script or for a further header.
const ELSEWHERE: [&str; 30] = [
    "http://evil.example/",
    "https://evil.example",
    "HTTP://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example/",
    "\\\\evil.example/",
    "\\/evil.example/",
    "/\t/evil.example/",
    "/\n/evil.example/",
    "/\r/evil.example",
    "\t//evil.example/",
    " //evil.example/",
    "\u{0}//evil.example/",
    "/%2f/../..//evil.example/\r\n",
    "/./\\evil.example",
    "http:/evil.example/",
    "http:evil.example",
    "//evil.example:80\\@127.0.0.1/",
    "javascript:alert(1)",
    "JavaScript:alert(1)//",
    "data:text/html,<script>alert(1)</script>",
    "/chat/\r\nSet-Cookie: injected=1",
    "/chat/\r\n\r\n<script>alert(1)</script>",
    "evil.example",
    "@evil.example",
    ".evil.example",
    "",
    "?next=//evil.example",
];

/// The response redirects to a page of this host.
fn stays_here(response: &Response, next: &str) {
    assert_eq!(response.status, 303, "{next:?}: {response:?}");
    let location = response.header("location").expect("a way on");
    let mut signs = location.chars();
    assert_eq!(signs.next(), Some('/'), "{next:?} leads to {location:?}");
    assert!(!matches!(signs.next(), Some('/' | '\\')), "{next:?} leads to {location:?}");
    let odd = |sign: char| sign.is_ascii_control() || sign == '\\' || sign == ' ' || !sign.is_ascii();
    assert!(!location.contains(odd), "{next:?} leads to {location:?}");
    assert!(!response.headers.iter().any(|(_, value)| value.contains("injected")), "{response:?}");
}

#[tokio::test]
async fn a_form_never_redirects_to_another_host() {
    let node = Node::alone().await;
    let mut ann = User::registered(&node, "ann").await;
    let secret = crate::support::user::password("ann");
    for next in ELSEWHERE {
        let response = ann
            .post(&node, "/accounts/login/", &[("name", "ann"), ("password", &secret), ("next", next)])
            .await;
        stays_here(&response, next);
        let mut guest = User::guest(&node).await;
        let response = guest.post(&node, "/accounts/guest/", &[("nickname", ""), ("next", next)]).await;
        stays_here(&response, next);
    }
    for (n, next) in ELSEWHERE.into_iter().enumerate().step_by(4) {
        let name = format!("somebody-{n}");
        let mut user = User::anonymous();
        let fields = [("name", &*name), ("password", &*secret), ("next", next)];
        stays_here(&user.post(&node, "/accounts/signup/", &fields).await, next);
    }
    let good = [("name", "ann"), ("password", &*secret), ("next", "/chat/lobby/")];
    let response = ann.post(&node, "/accounts/login/", &good).await;
    assert_eq!(response.header("location"), Some("/chat/lobby/"));
}

#[tokio::test]
async fn only_a_safe_redirect_is_copied_into_the_form() {
    let node = Node::alone().await;
    for next in ELSEWHERE.into_iter().filter(|next| next.contains("evil") || next.contains("alert")) {
        for path in ["/accounts/login/", "/accounts/signup/", "/accounts/guest/"] {
            let target = format!("{path}?next={}", encoded(next));
            let page = User::anonymous().get(&node, &target).await;
            assert_eq!(page.status, 200, "{target}: {page:?}");
            for part in ["evil.example", "alert(1)", "javascript:", "data:"] {
                assert!(!page.body.contains(part), "{part} in {target}: {}", page.body);
            }
        }
    }
}
