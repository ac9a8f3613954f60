//! Access: who may be in which room, decided here alone. A [`Room`] is the only way from a request to a group.
//!
//! What one may not see is answered as what does not exist. Rooms are public until somebody makes one private or an
//! operator closes it; `@name` is the private chat of the client with that account.
//!
//! | record | what |
//! |---|---|
//! | `room:<name>` | what is special about a room; a public one that nobody closed has none |
//! | index `room_members:<name>` | the ids of a private room's members, its owner among them, by when they came |

use parlor::{
    CloseCode, Context, Disconnect, Group, Identity, Index, LayerError, Refusal, Request, Role, Subscription,
};
use serde::{Deserialize, Serialize};

use crate::dm::conversation::Conversation;
use crate::rooms::name::Name;
use crate::scopes;

/// What the names of groups that chat begin with, as in the tutorial.
pub(crate) const CHAT: &str = "chat_";

/// A room that the client of a request may be in.
pub(crate) struct Room {
    name: String,
    kind: Kind,
}

enum Kind {
    Public,
    Private(RoomRecord),
    Direct(Conversation),
}

/// What is special about a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RoomRecord {
    /// Whose room it is, by the user's id.
    pub(crate) owner: Option<String>,
    /// Only its members may be in it.
    pub(crate) private: bool,
    /// Nobody may be in it.
    pub(crate) closed: bool,
}

impl RoomRecord {
    /// Whether this client owns the room.
    pub(crate) fn is_owned_by(&self, identity: &Identity) -> bool {
        identity.is_user() && self.owner.as_deref() == Some(identity.id())
    }

    /// As it stands in the store.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("its members have text names")
    }

    /// Where it stands.
    pub(crate) fn key(name: &str) -> String {
        format!("room:{name}")
    }

    /// The index of the members.
    pub(crate) fn members(name: &str) -> String {
        format!("room_members:{name}")
    }
}

impl Room {
    /// The room in the request's path.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub(crate) async fn of_path(request: &Request) -> Result<Self, Refusal> {
        Self::named(request, request.param("room")).await
    }

    /// The room in the query, as `?room=`.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub(crate) async fn of_query(request: &Request) -> Result<Self, Refusal> {
        Self::named(request, request.query("room").as_deref()).await
    }

    /// The room of this name, for the client of this request.
    ///
    /// # Errors
    /// 400 for what is no name, 401 (on a socket 403) for guests where there are none, 404 for a room that the client may
    /// not see, 503 when the layer does not answer.
    pub(crate) async fn named(request: &Request, name: Option<&str>) -> Result<Self, Refusal> {
        Self::look_up(request, name).await?
    }

    /// The room in the path while nobody can look it up, for its page: that tells nothing of it. What does, its sockets and
    /// feeds, is decided when the layer is back.
    ///
    /// # Errors
    /// 400 for what is no name.
    pub(crate) fn untold(request: &Request) -> Result<Self, Refusal> {
        Ok(Self { name: Name::parse(request, request.param("room"))?.into(), kind: Kind::Public })
    }

    /// As [`named`](Self::named), for those who tell in their own way that the layer does not answer.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
    pub(crate) async fn look_up(
        request: &Request,
        name: Option<&str>,
    ) -> Result<Result<Self, Refusal>, LayerError> {
        if !admits_guests(request) {
            return Ok(Err(no_guests(request)));
        }
        // Whoever is in a room hears and speaks.
        let identity = request.identity();
        if identity.role() == Role::Key && !(identity.may(scopes::READ) && identity.may(scopes::PUBLISH)) {
            return Ok(Err(Refusal::not_found()));
        }
        if let Some(peer) = name.and_then(|name| name.strip_prefix('@')) {
            let talk = Conversation::with(request, peer).await?;
            let room = talk.map(|(talk, name)| Self { name: format!("@{name}"), kind: Kind::Direct(talk) });
            return Ok(room.ok_or_else(Refusal::not_found));
        }
        let name = match Name::parse(request, name) {
            Ok(name) => name,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // The push stream of `chat_x` has the name of the group that chats in `x`, as in the tutorial. It is for rooms that
        // are everybody's: who has to leave `x` is not looked for in `chat_x`.
        if let Some(other) = name.as_str().strip_prefix(CHAT)
            && !matches!(kind(request, other).await?, Some(Kind::Public))
        {
            return Ok(Err(Refusal::not_found()));
        }
        let kind = kind(request, name.as_str()).await?;
        Ok(kind.map(|kind| Self { name: name.into(), kind }).ok_or_else(Refusal::not_found))
    }

    /// The room of this name for an operator, who may see private and closed ones, but nobody's private chat; with what is
    /// special about it.
    ///
    /// # Errors
    /// 400 for what is no name, 404 for everybody else, 503 when the layer does not answer.
    pub(crate) async fn operated(
        request: &Request,
        name: Option<&str>,
    ) -> Result<(Self, RoomRecord), Refusal> {
        if !request.identity().is_staff() {
            return Err(Refusal::not_found());
        }
        let name = Name::parse(request, name)?;
        let record = request.context().store().read(&RoomRecord::key(name.as_str())).await?;
        Ok((Self { name: name.into(), kind: Kind::Public }, record.unwrap_or_default()))
    }

    /// The room of this name at the API, whose callers speak for the site: private ones too, closed ones not, and nobody's
    /// private chat.
    ///
    /// # Errors
    /// 400 for what is no name, 404 for a room that is closed, 503 when the layer does not answer.
    pub(crate) async fn served(request: &Request, name: Option<&str>) -> Result<Self, Refusal> {
        if name.is_some_and(|name| name.starts_with('@')) {
            return Err(Refusal::not_found());
        }
        let name = Name::parse(request, name)?;
        // As above: by its push stream one is in the chat of another room.
        let other = name.as_str().strip_prefix(CHAT);
        for name in [Some(name.as_str()), other].into_iter().flatten() {
            let record: Option<RoomRecord> = request.context().store().read(&RoomRecord::key(name)).await?;
            if record.is_some_and(|record| record.closed) {
                return Err(Refusal::not_found());
            }
        }
        Ok(Self { name: name.into(), kind: Kind::Public })
    }

    /// Its name as the client knows it: `lobby`, `@alice`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is special about it, if it is a private one.
    pub(crate) fn private(&self) -> Option<&RoomRecord> {
        if let Kind::Private(record) = &self.kind { Some(record) } else { None }
    }

    /// With whom the client is alone here.
    pub(crate) fn talk(&self) -> Option<&Conversation> {
        if let Kind::Direct(talk) = &self.kind { Some(talk) } else { None }
    }

    /// The group of everybody who chats here.
    pub(crate) fn chat_group(&self) -> Group {
        match &self.kind {
            Kind::Direct(talk) => talk.chat_group(),
            _ => chat_group(&self.name),
        }
    }

    /// The group of everybody who gets this room's push stream.
    pub(crate) fn push_group(&self) -> Group {
        match &self.kind {
            Kind::Direct(talk) => talk.push_group(),
            _ => push_group(&self.name),
        }
    }

    /// A socket in one of its groups.
    pub(crate) fn session(&self, request: &Request, group: Group) -> Subscription {
        let session = Subscription::in_group(request, group);
        match &self.kind {
            Kind::Public => session,
            Kind::Private(_) => session.restricted(),
            Kind::Direct(_) => session.restricted().display_name(&self.name),
        }
    }
}

/// The group of everybody who chats in the room of this name.
pub(crate) fn chat_group(name: &str) -> Group {
    Group::new(&format!("{CHAT}{name}"))
}

/// The room in which the group chats; `None` for other groups, and for private chats.
pub(crate) fn room_of(chat_group: &str) -> Option<&str> {
    chat_group.strip_prefix(CHAT).filter(|name| !name.contains(':'))
}

/// Whether a private chat goes on in the group.
pub(crate) fn is_talk(chat_group: &str) -> bool {
    chat_group.starts_with(CHAT) && room_of(chat_group).is_none()
}

/// The group of everybody who gets the push stream of the room of this name.
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

/// Whether whoever asks may be in any room at all.
pub(crate) fn admits_guests(request: &Request) -> bool {
    request.identity().role() > Role::Guest || !request.context().config().auth.no_guests
}

fn no_guests(request: &Request) -> Refusal {
    const DETAIL: &str = "`Cookie`: expected the cookie of a login, for there are no guests here";
    // What a browser's socket is refused with is all the same to its page.
    let socket = request.header("sec-websocket-key").is_some();
    let refusal = if socket { Refusal::forbidden(DETAIL) } else { Refusal::unauthorized(DETAIL) };
    refusal.message_key("no_guests")
}

/// What the room of this name is to the client; `None` if it may not see it.
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
