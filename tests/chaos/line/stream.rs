//! An event stream of one room, with POST beside it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use super::parlor::{publish_frame, read};
use super::{Arrival, Incoming, Since};
use crate::chaos::membership::Membership;
use crate::chaos::pending::Said;
use crate::support::connection::Connection;
use crate::support::event_stream::{EventStream, messages, stream_of};
use crate::support::http::Request;
use crate::support::tutorial_client::encoded;

pub struct Stream {
    events: EventStream,
    address: SocketAddr,
    membership: Membership,
    /// Replies to what was posted.
    replies: VecDeque<Incoming>,
}

impl Stream {
    pub async fn open(address: SocketAddr, membership: &Membership, since: &Since) -> Option<Self> {
        let since = since.id.as_deref().map(|id| format!("?since={}", encoded(id))).unwrap_or_default();
        let request = Request::get(&(stream_of(&membership.rooms[0]) + &since));
        let events = EventStream::try_open(address, membership.with_credentials(request)).await?;
        Some(Self { events, address, membership: membership.clone(), replies: VecDeque::new() })
    }

    pub async fn next(&mut self) -> Arrival {
        if let Some(reply) = self.replies.pop_front() {
            return Arrival::Reply(reply);
        }
        match self.events.try_next_part().await {
            Some(part) if part.frame.is_null() => Arrival::Frames(vec![Incoming::Other]),
            Some(part) => Arrival::Frames(vec![read(&part.frame, &self.membership.rooms)]),
            None => Arrival::End(None),
        }
    }

    /// Posts a message on a connection of its own; no reply is like one that was lost.
    pub async fn publish(&mut self, said: &Said) -> bool {
        let Ok(mut connection) = Connection::try_connect(self.address).await else { return true };
        let room = &self.membership.rooms[said.room];
        let request = self
            .membership
            .with_credentials(messages(room))
            .header("Origin", &format!("http://{}", self.address))
            .body(publish_frame(said).to_string());
        if connection.try_send(&request.bytes(self.address)).await.is_err() {
            return true;
        }
        if let Some(response) = connection.try_response().await
            && let Ok(reply) = serde_json::from_str::<Value>(&response.body)
            && reply["type"].is_string()
        {
            self.replies.push_back(read(&reply, &self.membership.rooms));
        }
        true
    }
}
