//! Access to rooms. A [`Room`] is the only way from a request to a group.
//!
//! A room that the client may not see is answered like one that does not exist. A room is public
//! unless a user made it private or an operator closed it. `@name` is the private chat of the
//! client with that account.
//!
//! | record | what |
//! |---|---|
//! | `room:<name>` | the record of a room; a public room that is open has none |
//! | index `room_members:<name>` | ids of a private room's members and owner, by join time |

use parlor::{
    CloseCode, Context, Disconnect, Group, Identity, Index, LayerError, Refusal, Request, Role, Subscription,
};
use serde::{Deserialize, Serialize};

use crate::dm::conversation::Conversation;
use crate::rooms::name::Name;
use crate::scopes;

/// The prefix of the names of chat groups, as in the tutorial.
pub(crate) const CHAT: &str = "chat_";

/// A room that the client of a request may enter.
pub(crate) struct Room {
    name: String,
    kind: Kind,
}

enum Kind {
    Public,
    Private(RoomRecord),
    Direct(Conversation),
}

/// The record of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RoomRecord {
    /// The id of the owner.
    pub(crate) owner: Option<String>,
    /// Only members may enter.
    pub(crate) private: bool,
    /// Only operators may enter.
    pub(crate) closed: bool,
}

impl RoomRecord {
    /// Returns whether this client owns the room.
    pub(crate) fn is_owned_by(&self, identity: &Identity) -> bool {
        identity.is_user() && self.owner.as_deref() == Some(identity.id())
    }

    /// Formats the record for the store.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("its members have text names")
    }

    /// Returns the key of the record.
    pub(crate) fn key(name: &str) -> String {
        format!("room:{name}")
    }

    /// Returns the key of the index of members.
    pub(crate) fn members(name: &str) -> String {
        format!("room_members:{name}")
    }
}

impl Room {
    /// Returns the room in the request's path.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub(crate) async fn of_path(request: &Request) -> Result<Self, Refusal> {
        Self::named(request, request.param("room")).await
    }

    /// Returns the room in the query, as `?room=`.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub(crate) async fn of_query(request: &Request) -> Result<Self, Refusal> {
        Self::named(request, request.query("room").as_deref()).await
    }

    /// Returns the room of this name, for the client of this request.
    ///
    /// # Errors
    /// Returns 400 for an invalid name, 401 (on a socket 403) for guests where they are not
    /// admitted, 404 for a room that the client may not see, 503 when the layer does not answer.
    pub(crate) async fn named(request: &Request, name: Option<&str>) -> Result<Self, Refusal> {
        Self::look_up(request, name).await?
    }

    /// Returns the room in the path without a lookup, for its page while the layer is unreachable.
    /// The page shows nothing of the room; sockets and event streams look it up once the layer is
    /// back.
    ///
    /// # Errors
    /// Returns 400 for an invalid name.
    pub(crate) fn unchecked(request: &Request) -> Result<Self, Refusal> {
        Ok(Self { name: Name::parse(request.context(), request.param("room"))?.into(), kind: Kind::Public })
    }

    /// Returns the same as [`named`](Self::named), for callers that handle an unreachable layer
    /// themselves.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn look_up(
        request: &Request,
        name: Option<&str>,
    ) -> Result<Result<Self, Refusal>, LayerError> {
        if !admits_guests(request) {
            return Ok(Err(no_guests(request)));
        }
        // In a room, a client both reads and publishes.
        let identity = request.identity();
        if identity.role() == Role::Key && !(identity.may(scopes::READ) && identity.may(scopes::PUBLISH)) {
            return Ok(Err(Refusal::not_found()));
        }
        if let Some(peer) = name.and_then(|name| name.strip_prefix('@')) {
            let talk = Conversation::with(request, peer).await?;
            let room = talk.map(|(talk, name)| Self { name: format!("@{name}"), kind: Kind::Direct(talk) });
            return Ok(room.ok_or_else(Refusal::not_found));
        }
        let name = match Name::parse(request.context(), name) {
            Ok(name) => name,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // The push group of the room `chat_x` is the chat group of `x`, as in the tutorial. Only
        // public rooms may share it: a user removed from `x` is not searched for in `chat_x`.
        if let Some(other) = name.as_str().strip_prefix(CHAT)
            && !matches!(kind(request, other).await?, Some(Kind::Public))
        {
            return Ok(Err(Refusal::not_found()));
        }
        let kind = kind(request, name.as_str()).await?;
        Ok(kind.map(|kind| Self { name: name.into(), kind }).ok_or_else(Refusal::not_found))
    }

    /// Returns the room of this name and its record for an operator: also private and closed rooms,
    /// but no private chats.
    ///
    /// # Errors
    /// Returns 400 for an invalid name, 404 for other clients, 503 when the layer does not answer.
    pub(crate) async fn operated(
        request: &Request,
        name: Option<&str>,
    ) -> Result<(Self, RoomRecord), Refusal> {
        if !request.identity().is_staff() {
            return Err(Refusal::not_found());
        }
        let name = Name::parse(request.context(), name)?;
        let record = request.context().store().read(&RoomRecord::key(name.as_str())).await?;
        Ok((Self { name: name.into(), kind: Kind::Public }, record.unwrap_or_default()))
    }

    /// Returns the room of this name for the API, whose clients act for the site: also private
    /// rooms, but no closed rooms and no private chats.
    ///
    /// # Errors
    /// Returns 400 for an invalid name, 404 for a closed room, 503 when the layer does not answer.
    pub(crate) async fn served(request: &Request, name: Option<&str>) -> Result<Self, Refusal> {
        if name.is_some_and(|name| name.starts_with('@')) {
            return Err(Refusal::not_found());
        }
        let name = Name::parse(request.context(), name)?;
        // As above: its push group may be the chat group of another room.
        let other = name.as_str().strip_prefix(CHAT);
        for name in [Some(name.as_str()), other].into_iter().flatten() {
            let record: Option<RoomRecord> = request.context().store().read(&RoomRecord::key(name)).await?;
            if record.is_some_and(|record| record.closed) {
                return Err(Refusal::not_found());
            }
        }
        Ok(Self { name: name.into(), kind: Kind::Public })
    }

    /// Returns the client's name for the room: `lobby`, `@alice`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the record of a private room.
    pub(crate) fn private(&self) -> Option<&RoomRecord> {
        if let Kind::Private(record) = &self.kind { Some(record) } else { None }
    }

    /// Returns the conversation of a private chat.
    pub(crate) fn talk(&self) -> Option<&Conversation> {
        if let Kind::Direct(talk) = &self.kind { Some(talk) } else { None }
    }

    /// Returns the chat group.
    pub(crate) fn chat_group(&self) -> Group {
        match &self.kind {
            Kind::Direct(talk) => talk.chat_group(),
            _ => chat_group(&self.name),
        }
    }

    /// Returns the group of the push stream.
    pub(crate) fn push_group(&self) -> Group {
        match &self.kind {
            Kind::Direct(talk) => talk.push_group(),
            _ => push_group(&self.name),
        }
    }

    /// Creates a socket's subscription to one of the room's groups.
    pub(crate) fn session(&self, request: &Request, group: Group) -> Subscription {
        let session = Subscription::in_group(request, group);
        match &self.kind {
            Kind::Public => session,
            Kind::Private(_) => session.restricted(),
            Kind::Direct(_) => session.restricted().display_name(&self.name),
        }
    }
}

/// Returns the chat group of the room of this name.
pub(crate) fn chat_group(name: &str) -> Group {
    Group::new(&format!("{CHAT}{name}"))
}

/// Returns the room of a chat group; `None` for other groups and for private chats.
pub(crate) fn room_of(chat_group: &str) -> Option<&str> {
    chat_group.strip_prefix(CHAT).filter(|name| !name.contains(':'))
}

/// Returns whether the group is a private chat.
pub(crate) fn is_talk(chat_group: &str) -> bool {
    chat_group.starts_with(CHAT) && room_of(chat_group).is_none()
}

/// Returns the group of the push stream of the room of this name.
pub(crate) fn push_group(name: &str) -> Group {
    Group::new(name)
}

/// Closes every socket of a group, on every node.
pub(crate) async fn send_all_away(
    context: &Context,
    group: &Group,
    code: CloseCode,
    reason: &str,
) -> Result<(), LayerError> {
    let group = Some(group.name().to_owned());
    context
        .order(&Disconnect { group, code: code.number(), reason: reason.to_owned(), ..Disconnect::default() })
        .await
}

/// Returns whether the client may enter any room: guests may be excluded.
pub(crate) fn admits_guests(request: &Request) -> bool {
    request.identity().role() > Role::Guest || !request.context().config().auth.no_guests
}

fn no_guests(request: &Request) -> Refusal {
    const DETAIL: &str = "`Cookie`: expected the cookie of a login, for there are no guests here";
    // The page of a browser does not see the status of a refused socket.
    let socket = request.header("sec-websocket-key").is_some();
    let refusal = if socket { Refusal::forbidden(DETAIL) } else { Refusal::unauthorized(DETAIL) };
    refusal.message_key("no_guests")
}

/// Returns the kind of the room for the client; `None` if the client may not see the room.
async fn kind(request: &Request, name: &str) -> Result<Option<Kind>, LayerError> {
    Ok(match request.context().store().read::<RoomRecord>(&RoomRecord::key(name)).await? {
        Some(record) if record.closed => None,
        Some(record) if record.private => {
            is_member(request, name, &record).await?.then_some(Kind::Private(record))
        }
        _ => Some(Kind::Public),
    })
}

async fn is_member(request: &Request, name: &str, record: &RoomRecord) -> Result<bool, LayerError> {
    let identity: &Identity = request.identity();
    if !identity.is_user() {
        return Ok(false);
    }
    Ok(record.is_owned_by(identity)
        || request.context().store().rank(&RoomRecord::members(name), identity.id()).await?.is_some())
}
