//! The members of a room as one client knows them: from its welcome and every presence frame.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::v1_client::V1Client;

/// A client, and what it was sent of its room's members.
pub struct MemberList {
    pub client: V1Client,
    /// Names by user; `None` while they are too many.
    members: Option<BTreeMap<String, String>>,
    count: u64,
}

impl MemberList {
    pub fn new(client: V1Client) -> Self {
        let mut list = Self { members: None, count: 0, client };
        list.replace(&list.client.welcome.clone());
        list
    }

    /// Takes the frames that arrive within this time. Fails if a user joins who is there, leaves
    /// without being there, or is renamed without being there.
    pub async fn listen(&mut self, time: Duration) {
        let _elapsed = timeout(time, async {
            while let Some(frame) = self.client.next_frame().await {
                self.apply(&frame);
            }
        })
        .await;
    }

    /// The users, sorted; `None` while they are too many.
    pub fn users(&self) -> Option<Vec<&str>> {
        self.members.as_ref().map(|members| members.keys().map(String::as_str).collect())
    }

    pub fn name_of(&self, user: &str) -> Option<&str> {
        self.members.as_ref()?.get(user).map(String::as_str)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    fn apply(&mut self, frame: &Value) {
        if frame["type"] != "presence" {
            return;
        }
        let text =
            |name: &str| frame[name].as_str().unwrap_or_else(|| panic!("no {name} in {frame}")).to_owned();
        let change = text("change");
        if change == "state" {
            return self.replace(frame);
        }
        let own = self.client.user().to_owned();
        let members = self.members.as_mut().expect("a list, for changes are of lists only");
        let (user, name) = (text("user"), text("name"));
        let known = match change.as_str() {
            "leave" => members.remove(&user),
            _ => members.insert(user.clone(), name),
        };
        // The welcome has the client itself, whose join may follow.
        let is_right = known.is_some() == (change != "join") || (user == own && change == "join");
        assert!(is_right, "{frame} at a client that has {members:?}");
        self.count = frame["count"].as_u64().expect("a count");
        assert_eq!(self.count, members.len() as u64, "{frame}");
    }

    fn replace(&mut self, frame: &Value) {
        self.count = frame["count"].as_u64().expect("a count");
        self.members = frame["members"].as_array().map(|users| {
            let name = |user: &str| frame["names"][user].as_str().expect("a name").to_owned();
            users.iter().filter_map(Value::as_str).map(|user| (user.to_owned(), name(user))).collect()
        });
    }
}
