//! Which room a client enters, and as whom.

use crate::support::handshake::{Handshake, guest_cookie};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::user::{CSRF, User};

#[derive(Clone, Debug)]
pub struct Membership {
    /// The user's name for the room.
    pub room: String,
    cookies: String,
    /// Required with what a login posts.
    csrf_token: Option<String>,
}

impl Membership {
    /// The guest of this number in a public room.
    pub fn of_guest(room: &str, number: u64) -> Self {
        Self { room: room.to_owned(), cookies: guest_cookie(number), csrf_token: None }
    }

    /// The two sides of the private chat of two new accounts. Each names it after the other.
    pub async fn of_private_chat(node: &Node) -> [Self; 2] {
        let (ann, bob) = (User::registered(node, "ann").await, User::registered(node, "bob").await);
        [(ann, "@bob"), (bob, "@ann")].map(|(user, room)| Self {
            room: room.to_owned(),
            cookies: user.cookies(),
            csrf_token: user.cookie(CSRF).map(str::to_owned),
        })
    }

    pub fn handshake(&self) -> Handshake {
        Handshake::to_room(&self.room).with_cookies(&self.cookies)
    }

    /// Adds the user's cookies, and the token that a login needs beside them.
    pub fn with_credentials(&self, request: Request) -> Request {
        let request = request.header("Cookie", &self.cookies);
        match &self.csrf_token {
            Some(token) => request.header("X-CSRFToken", token),
            None => request,
        }
    }
}
