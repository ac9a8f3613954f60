//! Every way to change something, as the site's own pages and programs do it.

use super::http::Request;
use super::routes::Way;
use super::user::{CSRF, FIELD, User, form, password};

/// A request that changes something.
pub struct Deed {
    pub who: Role,
    /// Its method and pattern in the route table.
    pub way: Way,
    pub target: String,
    pub body: Body,
}

/// A form has the token in a field, a script in a header.
pub enum Body {
    Form(Vec<(&'static str, String)>),
    Script(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Ann,
    Guest,
    Operator,
}

/// How the token is sent.
pub struct Token<'a> {
    pub cookie: Option<&'a str>,
    pub sent: Option<&'a str>,
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
    pub fn request(&self, person: &User, token: &Token<'_>) -> Request {
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
pub fn deeds(invitation: &str, user: &str) -> Vec<Deed> {
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
            "/centrifugo/api/{method}",
            "/centrifugo/api/publish",
            r#"{"channel": "lobby", "data": {"text": "forged"}}"#,
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
