//! One user of each role and one room of each kind, for the access matrices.

use serde_json::Value;

use super::cli::{key, operator};
use super::http::Request;
use super::node::Node;
use super::redis::Redis;
use super::user::{CSRF, User};

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Has no cookie.
    Anonymous,
    /// Has a guest's cookie.
    Guest,
    /// Has an account without any relation to the room.
    Outsider,
    /// Is a member of the private room.
    Member,
    /// Owns the private room, and is the `@owner` of the direct messages.
    Owner,
    Operator,
    /// Has an API key with every scope.
    FullKey,
    /// Has an API key with the scope `disconnect`.
    DisconnectKey,
    /// Has a banned account.
    Banned,
}

pub const ROLES: [Role; 9] = [
    Role::Anonymous,
    Role::Guest,
    Role::Outsider,
    Role::Member,
    Role::Owner,
    Role::Operator,
    Role::FullKey,
    Role::DisconnectKey,
    Role::Banned,
];

/// The room of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Public,
    Private,
    /// The direct messages with the owner.
    DirectMessage,
    /// A room that an operator has closed.
    Closed,
    /// The direct messages with an account that does not exist.
    Missing,
}

pub const TARGETS: [Target; 5] =
    [Target::Public, Target::Private, Target::DirectMessage, Target::Closed, Target::Missing];

impl Target {
    pub fn room(self) -> &'static str {
        match self {
            Self::Public => "lobby",
            Self::Private => "cellar",
            Self::DirectMessage => "@owner",
            Self::Closed => "attic",
            Self::Missing => "@nobody",
        }
    }
}

pub struct AccessFixture {
    _redis: Redis,
    pub nodes: [Node; 2],
    users: Vec<(Role, User)>,
    /// The path of an invitation to the private room.
    pub invitation: String,
}

impl AccessFixture {
    pub async fn start() -> Self {
        let redis = Redis::start().await;
        let nodes = Node::several::<2>(&redis).await;
        let node = &nodes[0];
        let mut owner = User::registered(node, "owner").await;
        let made = owner.post(node, "/rooms/", &[("room", "cellar")]).await;
        assert_eq!(made.status, 303, "a private room: {made:?}");
        let mut member = User::registered(node, "member").await;
        let invitation = invite(node, &mut owner, "cellar").await;
        let taken = member.post(node, &invitation, &[]).await;
        assert_eq!(taken.status, 303, "an invitation is taken: {taken:?}");
        let banned = User::registered(node, "banned").await;
        change(&redis, "parlor:record:user:banned", "banned", true.into()).await;
        redis.query::<String>(&["SET", "parlor:record:room:{chat_attic}", r#"{"closed": true}"#]).await;
        let bearer = async |name: &str, scopes: &str| {
            User::anonymous()
                .with_header("Authorization", &format!("Bearer {}", key(&redis, name, scopes).await))
        };
        // A form's token alone does not identify a user.
        let mut stranger = User::anonymous();
        stranger.set_cookie(CSRF, &"0123456789abcdef".repeat(2));
        let users = vec![
            (Role::Anonymous, stranger),
            (Role::Guest, User::guest(node).await),
            (Role::Outsider, User::registered(node, "outsider").await),
            (Role::Member, member),
            (Role::Owner, owner),
            (Role::Operator, operator(node, &redis, "operator").await),
            (Role::FullKey, bearer("program", "publish,read,disconnect").await),
            (Role::DisconnectKey, bearer("doorman", "disconnect").await),
            (Role::Banned, banned),
        ];
        Self { _redis: redis, nodes, users, invitation }
    }

    /// The user of this role, with the initial cookies.
    pub fn user(&self, who: Role) -> User {
        self.users.iter().find(|(other, _)| *other == who).expect("a user of each role").1.clone()
    }

    /// The request as this role's browser or program sends it, from a page of the site.
    pub fn request_as(&self, who: Role, node: &Node, request: Request) -> Request {
        let person = self.user(who);
        let token = person.cookie(CSRF).map(str::to_owned);
        let request = token.iter().fold(request, |request, token| request.header("X-CSRFToken", token));
        if person.cookies().is_empty() {
            return person.with_cookies(request);
        }
        person.with_cookies(request.header("Origin", &format!("http://{}", node.address())))
    }
}

/// Creates an invitation to this private room and returns its path.
pub async fn invite(node: &Node, owner: &mut User, room: &str) -> String {
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
