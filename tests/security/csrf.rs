//! Cross-site request forgery: every route that changes something rejects forged requests and
//! changes nothing.

use crate::support::access_fixture::invite;
use crate::support::cli::operator;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_snapshot::{changes, vault};
use crate::support::routes::{Way, rows, with_method};
use crate::support::user::{CSRF, FIELD, User, form, password};

/// A request that changes something.
struct Deed {
    who: Role,
    /// Its method and pattern in the route table.
    way: Way,
    target: String,
    body: Body,
}

/// A form has the token in a field, a script in a header.
enum Body {
    Form(Vec<(&'static str, String)>),
    Script(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Ann,
    Guest,
    Operator,
}

/// How the token is sent.
struct Token<'a> {
    cookie: Option<&'a str>,
    sent: Option<&'a str>,
}

fn form_of(who: Role, path: &str, target: &str, fields: &[(&'static str, &str)]) -> Deed {
    let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let way = Way { method: "POST", path: path.to_owned() };
    Deed { who, way, target: target.to_owned(), body: Body::Form(fields) }
}

fn script_of(who: Role, method: &'static str, path: &str, target: &str, json: &'static str) -> Deed {
    let way = Way { method, path: path.to_owned() };
    Deed { who, way, target: target.to_owned(), body: Body::Script(json) }
}

impl Deed {
    /// The request of a user with these cookies, without a header that says where it comes from.
    fn request(&self, person: &User, token: &Token<'_>) -> Request {
        let mut person = person.clone();
        person.set_cookie(CSRF, token.cookie.unwrap_or_default());
        person.with_cookies(match &self.body {
            Body::Form(fields) => {
                let mut fields: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                fields.extend(token.sent.map(|token| (FIELD, token)));
                form(&self.target, &fields)
            }
            Body::Script(json) => {
                let request = Request::new(self.way.method, &self.target).body(json);
                let request = request.header("Content-Type", "application/json");
                token.sent.iter().fold(request, |request, token| request.header("X-CSRFToken", token))
            }
        })
    }
}

/// Every change, with an invitation to a room and the id of a user.
fn deeds(invitation: &str, user: &str) -> Vec<Deed> {
    use Role::{Ann, Guest, Operator};
    const SAID: &str = r#"{"message": "forged"}"#;
    let secret = password("ann");
    vec![
        form_of(Guest, "/accounts/login/", "/accounts/login/", &[("name", "ann"), ("password", &secret)]),
        form_of(
            Guest,
            "/accounts/signup/",
            "/accounts/signup/",
            &[("name", "forged"), ("password", &secret)],
        ),
        form_of(Guest, "/accounts/guest/", "/accounts/guest/", &[("nickname", "called")]),
        form_of(Ann, "/rooms/", "/rooms/", &[("room", "forged")]),
        form_of(Ann, "/invitations/", "/invitations/", &[("room", "forged"), ("action", "decline")]),
        form_of(
            Ann,
            "/chat/{room}/members/",
            "/chat/cellar/members/",
            &[("action", "invite"), ("name", "bob")],
        ),
        form_of(
            Ann,
            "/chat/{room}/members/",
            "/chat/cellar/members/",
            &[("action", "remove"), ("name", "bob")],
        ),
        form_of(Ann, "/chat/{room}/members/", "/chat/cellar/members/", &[("action", "link")]),
        form_of(Ann, "/invite/{link}/", invitation, &[]),
        script_of(Ann, "POST", "/chat/{room}/messages", "/chat/lobby/messages", SAID),
        script_of(Ann, "POST", "/chat/{room}/messages", "/chat/@bob/messages", SAID),
        script_of(Guest, "POST", "/push", "/push?room=lobby", ""),
        script_of(Guest, "DELETE", "/push", "/push?room=lobby", ""),
        script_of(Ann, "POST", "/api/tickets", "/api/tickets", ""),
        script_of(
            Operator,
            "POST",
            "/api/rooms/{room}/messages",
            "/api/rooms/lobby/messages",
            r#"{"message": "forged"}"#,
        ),
        script_of(
            Operator,
            "POST",
            "/api/broadcast",
            "/api/broadcast",
            r#"{"rooms": ["lobby"], "message": "forged"}"#,
        ),
        script_of(
            Operator,
            "POST",
            "/api/groups/{group}/events",
            "/api/groups/chat_lobby/events",
            r#"{"type": "forged"}"#,
        ),
        script_of(Operator, "POST", "/api/users/{user}/disconnect", "/api/users/bob/disconnect", "{}"),
        script_of(Operator, "POST", "/api/push/{room}", "/api/push/lobby", ""),
        script_of(Operator, "DELETE", "/api/push/{room}", "/api/push/lobby", ""),
        script_of(Operator, "POST", "/admin/rooms/{room}/push", "/admin/rooms/lobby/push", ""),
        script_of(Operator, "DELETE", "/admin/rooms/{room}/push", "/admin/rooms/lobby/push", ""),
        form_of(Operator, "/admin/rooms/{room}/", "/admin/rooms/kitchen/", &[("action", "close")]),
        form_of(
            Operator,
            "/admin/keys/",
            "/admin/keys/",
            &[("action", "make"), ("name", "forged"), ("scope_read", "on")],
        ),
        form_of(Operator, "/admin/users/", "/admin/users/", &[("action", "staff_on"), ("user", user)]),
        form_of(Operator, "/admin/users/", "/admin/users/", &[("action", "ban"), ("user", user)]),
        form_of(Ann, "/accounts/logout/", "/accounts/logout/", &[]),
    ]
}

#[tokio::test]
async fn every_changing_route_rejects_forged_requests() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let own = format!("http://{}", node.address());
    let mut bob = User::registered(&node, "bob").await;
    let strangers = bob.token(&node).await;
    let user = bob.join(&node, "hall").await.user().to_owned();
    let mut ann = User::registered(&node, "ann").await;
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut host = User::registered(&node, "host").await;
    assert_eq!(host.post(&node, "/rooms/", &[("room", "wine")]).await.status, 303);
    let invitation = invite(&node, &mut host, "wine").await;
    let mut op = operator(&node, &redis, "op").await;
    for deed in deeds(&invitation, &user) {
        let mut guest = User::guest(&node).await;
        let person = match deed.who {
            Role::Ann => &mut ann,
            Role::Guest => &mut guest,
            Role::Operator => &mut op,
        };
        let what = format!("{} {}", deed.way.method, deed.target);
        let token = person.token(&node).await;
        let before = vault(&redis).await;
        let with = |cookie, sent| deed.request(person, &Token { cookie, sent });
        let mut forged = vec![
            ("without a token", with(Some(&*token), None)),
            ("with a wrong token", with(Some(&*token), Some("x"))),
            ("with an empty token", with(Some(&*token), Some(""))),
            ("with empty tokens", with(Some(""), Some(""))),
            ("with a token and no cookie", with(None, Some(&*token))),
            ("with bob's token", with(Some(&*token), Some(&*strangers))),
        ];
        for (name, value) in [
            ("Origin", "http://evil.example"),
            ("Origin", "null"),
            ("Referer", "http://evil.example/page"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            forged.push((value, with(Some(&*token), Some(&*token)).header(name, value)));
        }
        if let Body::Form(_) = deed.body {
            forged.push(("with its own origin only", with(Some(&*token), None).header("Origin", &own)));
        }
        for (how, request) in forged {
            let response = request.send(&node).await;
            assert_eq!(response.status, 403, "{what} {how}: {response:?}");
        }
        let changed = changes(&before, &vault(&redis).await);
        assert!(changed.is_empty(), "{what}: forged requests changed {changed:?}");
        let response = with(Some(&*token), Some(&*token)).header("Origin", &own).send(&node).await;
        assert!(response.status < 400, "{what}, as it should be: {response:?}");
    }
}

#[tokio::test]
async fn the_csrf_tests_cover_every_changing_route() {
    let deeds: Vec<Way> = deeds("", "").into_iter().map(|deed| deed.way).collect();
    let ways = with_method(&["POST", "PUT", "PATCH", "DELETE"]);
    let missing: Vec<_> = ways.into_iter().filter(|way| !deeds.contains(way)).collect();
    assert!(missing.is_empty(), "routes without an attack: {missing:?}");
    for row in rows().into_iter().filter(|row| row.method != "GET") {
        let csrf = row.csrf.as_deref();
        assert!(matches!(csrf, Some("token" | "session-token" | "origin")), "a CSRF rule: {row:?}");
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_log_a_visitor_in() {
    let node = Node::alone().await;
    User::registered(&node, "mallory").await;
    let fields = [("name", "mallory"), ("password", &*password("mallory"))];
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Referer", "http://evil.example/"),
        ("Sec-Fetch-Site", "cross-site"),
        ("X", "y"),
    ] {
        let response = form("/accounts/login/", &fields).header(name, value).send(&node).await;
        assert_eq!(response.status, 403, "{name}: {value}: {response:?}");
        assert!(
            !response.headers.iter().any(|(_, value)| value.starts_with("parlor_session=")),
            "{response:?}"
        );
    }
}

#[tokio::test]
async fn a_csrf_token_in_the_query_is_ignored() {
    let node = Node::alone().await;
    let mut ann = User::anonymous();
    let token = ann.token(&node).await;
    let target = format!("/accounts/signup/?{FIELD}={token}&csrftoken={token}");
    let request = form(&target, &[("name", "ann"), ("password", "the long secret")]);
    let own = format!("http://{}", node.address());
    let response = ann.with_cookies(request).header("Origin", &own).send(&node).await;
    assert_eq!(response.status, 403, "{response:?}");
}
