//! Everybody whom a room may meet, and rooms of every kind: who may be where is for the tests to say.

use serde_json::Value;

use super::cli::{key, operator};
use super::http::Request;
use super::node::Node;
use super::redis::Redis;
use super::user::{CSRF, Person};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Without any cookie.
    Stranger,
    /// Known by a guest's cookie.
    Guest,
    /// With an account that has nothing to do with the room.
    Outsider,
    /// Member of the private room.
    Member,
    /// Owner of the private room, and the `@owner` of the private chats.
    Owner,
    Operator,
    /// With a key for everything.
    Program,
    /// With a key that may only send users away.
    Doorman,
    /// With an account that was banned.
    Banned,
}

pub const EVERYBODY: [Who; 9] = [
    Who::Stranger,
    Who::Guest,
    Who::Outsider,
    Who::Member,
    Who::Owner,
    Who::Operator,
    Who::Program,
    Who::Doorman,
    Who::Banned,
];

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Public,
    Private,
    /// The private chat with the owner.
    Talk,
    /// Closed by an operator.
    Closed,
    /// The private chat with somebody who does not exist.
    Nowhere,
}

pub const EVERYWHERE: [Where; 5] =
    [Where::Public, Where::Private, Where::Talk, Where::Closed, Where::Nowhere];

impl Where {
    pub fn room(self) -> &'static str {
        match self {
            Self::Public => "lobby",
            Self::Private => "cellar",
            Self::Talk => "@owner",
            Self::Closed => "attic",
            Self::Nowhere => "@nobody",
        }
    }
}

pub struct Cast {
    _redis: Redis,
    pub nodes: [Node; 2],
    people: Vec<(Who, Person)>,
    /// The path of an invitation to the private room.
    pub invitation: String,
}

impl Cast {
    pub async fn assemble() -> Self {
        let redis = Redis::start().await;
        let nodes = Node::several::<2>(&redis).await;
        let node = &nodes[0];
        let mut owner = Person::named(node, "owner").await;
        let made = owner.post(node, "/rooms/", &[("room", "cellar")]).await;
        assert_eq!(made.status, 303, "a private room: {made:?}");
        let mut member = Person::named(node, "member").await;
        let invitation = invite(node, &mut owner, "cellar").await;
        let taken = member.post(node, &invitation, &[]).await;
        assert_eq!(taken.status, 303, "an invitation is taken: {taken:?}");
        let banned = Person::named(node, "banned").await;
        change(&redis, "parlor:record:user:banned", "banned", true.into()).await;
        redis.query::<String>(&["SET", "parlor:record:room:attic", r#"{"closed": true}"#]).await;
        let bearer = async |name: &str, scopes: &str| {
            Person::stranger()
                .with_header("Authorization", &format!("Bearer {}", key(&redis, name, scopes).await))
        };
        // The token of a form alone says nothing of who somebody is.
        let mut stranger = Person::stranger();
        stranger.set_cookie(CSRF, &"0123456789abcdef".repeat(2));
        let people = vec![
            (Who::Stranger, stranger),
            (Who::Guest, Person::guest(node).await),
            (Who::Outsider, Person::named(node, "outsider").await),
            (Who::Member, member),
            (Who::Owner, owner),
            (Who::Operator, operator(node, &redis, "operator").await),
            (Who::Program, bearer("program", "publish,read,disconnect").await),
            (Who::Doorman, bearer("doorman", "disconnect").await),
            (Who::Banned, banned),
        ];
        Self { _redis: redis, nodes, people, invitation }
    }

    /// The person, with the cookies as they were at first.
    pub fn person(&self, who: Who) -> Person {
        self.people.iter().find(|(other, _)| *other == who).expect("somebody of the cast").1.clone()
    }

    /// The request as this person's browser or program sends it, from a page of the site.
    pub fn asks(&self, who: Who, node: &Node, request: Request) -> Request {
        let person = self.person(who);
        let token = person.cookie(CSRF).map(str::to_owned);
        let request = token.iter().fold(request, |request, token| request.header("X-CSRFToken", token));
        if person.cookies().is_empty() {
            return person.with_cookies(request);
        }
        person.with_cookies(request.header("Origin", &format!("http://{}", node.address())))
    }
}

/// The path of a new invitation to this private room.
pub async fn invite(node: &Node, owner: &mut Person, room: &str) -> String {
    let page = owner.post(node, &format!("/chat/{room}/members/"), &[("action", "link")]).await;
    assert_eq!(page.status, 200, "a link: {page:?}");
    let text = page.body.replace("&#x2f;", "/");
    let link = text.split("/invite/").nth(1).and_then(|rest| rest.split('/').next());
    format!("/invite/{}/", link.unwrap_or_else(|| panic!("a link in {text}")))
}

/// Changes a member of a record in Redis.
async fn change(redis: &Redis, key: &str, member: &str, value: Value) {
    let text: String = redis.query(&["GET", key]).await;
    let mut record: Value = serde_json::from_str(&text).expect("a record in JSON");
    assert!(record[member] != Value::Null, "{member} in {text}");
    record[member] = value;
    redis.query::<String>(&["SET", key, &record.to_string()]).await;
}
