//! Which rooms a client enters, and as whom.

use crate::support::handshake::{Handshake, guest_cookie};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::user::{CSRF, User};

#[derive(Clone, Debug)]
pub struct Membership {
    /// The user's names for the rooms.
    pub rooms: Vec<String>,
    /// The user's id.
    pub user: String,
    /// On Centrifugo's protocol, the client wants an error if it cannot be given what it missed.
    pub is_strict: bool,
    pub cookies: String,
    /// Required with what a login posts.
    csrf_token: Option<String>,
    /// The names and ids of accounts, which Centrifugo's protocol shows by name.
    accounts: Vec<(&'static str, String)>,
}

impl Membership {
    /// The guest of this number in public rooms.
    pub fn of_guest(rooms: Vec<String>, number: u64) -> Self {
        let (user, cookies) = (format!("{number:016x}"), guest_cookie(number));
        let is_strict = number.is_multiple_of(2);
        Self { rooms, user, is_strict, cookies, csrf_token: None, accounts: Vec::new() }
    }

    /// The two sides of the private chat of two new accounts. Each names it after the other.
    pub async fn of_private_chat(node: &Node) -> [Self; 2] {
        let (ann, bob) = (User::registered(node, "ann").await, User::registered(node, "bob").await);
        let mut sides = [(ann, "@bob", false), (bob, "@ann", true)].map(|(user, room, is_strict)| Self {
            rooms: vec![room.to_owned()],
            user: String::new(),
            is_strict,
            cookies: user.cookies(),
            csrf_token: user.cookie(CSRF).map(str::to_owned),
            accounts: Vec::new(),
        });
        for side in &mut sides {
            let welcomed = side.handshake().connect(node).await;
            welcomed.user().clone_into(&mut side.user);
        }
        let accounts = vec![("ann", sides[0].user.clone()), ("bob", sides[1].user.clone())];
        sides.map(|side| Self { accounts: accounts.clone(), ..side })
    }

    /// The handshake at the path of the first room.
    pub fn handshake(&self) -> Handshake {
        Handshake::to_room(&self.rooms[0]).with_cookies(&self.cookies)
    }

    /// Adds the user's cookies, and the token that a login needs beside them.
    pub fn with_credentials(&self, request: Request) -> Request {
        let request = request.header("Cookie", &self.cookies);
        match &self.csrf_token {
            Some(token) => request.header("X-CSRFToken", token),
            None => request,
        }
    }

    /// The id of a user as Centrifugo's protocol shows it.
    pub fn id_of<'a>(&'a self, user: &'a str) -> &'a str {
        self.accounts.iter().find(|(name, _)| *name == user).map_or(user, |(_, id)| id)
    }
}
