//! Rooms that clients may enter. A [`Room`] is the only way from a client's name for a room to its
//! groups.
//!
//! A room that the client may not see is answered like one that does not exist. A room is public
//! unless a user made it private or an operator closed it. `@name` is the private chat of
//! the client with that account.

use parlor::{Context, Denied, Grant, Group, Identity, Index, LayerError, Reason, Refusal, Request, Role};

use crate::rooms::conversation::Conversation;
use crate::rooms::groups;
use crate::rooms::groups::CHAT_PREFIX;
use crate::rooms::name;
use crate::rooms::name::Name;
use crate::rooms::record::RoomRecord;
use crate::scopes;

/// A room that a client may enter.
pub(crate) struct Room {
    name: String,
    kind: Kind,
}

enum Kind {
    Public,
    Private(RoomRecord),
    Direct(Conversation, String),
    /// For the users in its name, or for the bearers of tokens.
    Limited,
}

/// How the record of a room is read.
#[derive(Clone, Copy)]
enum Lookup {
    Stored,
    /// For a socket, which a disconnect command closes when the record has changed.
    ForJoin,
}

impl Room {
    /// Returns the room of this name, if the client may enter it.
    ///
    /// # Errors
    /// Returns [`Denied`]: for an invalid name, for guests where they are not admitted, for a room
    /// that the client may not see, and when the layer does not answer.
    pub(crate) async fn find(context: &Context, identity: &Identity, name: &str) -> Result<Self, Denied> {
        Self::look_up(context, identity, name, Lookup::Stored).await
    }

    /// Returns the room of this name for a client that joins one of its groups.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub(crate) async fn find_to_join(
        context: &Context,
        identity: &Identity,
        name: &str,
    ) -> Result<Self, Denied> {
        Self::look_up(context, identity, name, Lookup::ForJoin).await
    }

    /// Returns the room that [`find_to_join`](Self::find_to_join) finds unless the room has a
    /// record, whose key is returned, too. Returns `None` where more has to be asked, or the client
    /// is refused.
    pub(crate) fn presume(context: &Context, identity: &Identity, name: &str) -> Option<(Self, String)> {
        check_client(context, identity).ok()?;
        let name = Name::parse_any(context, name).ok()?;
        if name.is_limited() || name.as_str().starts_with(CHAT_PREFIX) {
            return None;
        }
        let record = RoomRecord::key(name.as_str());
        Some((Self { name: name.into(), kind: Kind::Public }, record))
    }

    async fn look_up(
        context: &Context,
        identity: &Identity,
        name: &str,
        lookup: Lookup,
    ) -> Result<Self, Denied> {
        check_client(context, identity)?;
        if let Some(peer) = name.strip_prefix('@') {
            let (conversation, peer) =
                Conversation::with(context, identity, peer).await?.ok_or(Denied::NotFound)?;
            return Ok(Self {
                name: format!("@{}", peer.handle()),
                kind: Kind::Direct(conversation, peer.name),
            });
        }
        let name = Name::parse_any(context, name)?;
        if name.is_limited() {
            let is_named = |users: &str| users.split(',').any(|user| user == identity.subject());
            return if identity.is_user() && name.users().is_some_and(is_named) {
                Self::limited(context, name, lookup).await
            } else {
                Err(Denied::NotFound)
            };
        }
        // The push group of the room `chat_x` is the chat group of `x`, as in the tutorial. Only
        // public rooms may share it: a user removed from `x` is not searched for in `chat_x`.
        if let Some(other) = name.as_str().strip_prefix(CHAT_PREFIX)
            && !matches!(kind(context, identity, other, lookup).await?, Some(Kind::Public))
        {
            return Err(Denied::NotFound);
        }
        let kind = kind(context, identity, name.as_str(), lookup).await?.ok_or(Denied::NotFound)?;
        Ok(Self { name: name.into(), kind })
    }

    /// Returns the room of this name, which is entered with a token, for a client that has one.
    ///
    /// # Errors
    /// Returns [`Denied`]: for an invalid name, for guests where they are not admitted, for a
    /// closed room, and when the layer does not answer.
    pub(crate) async fn for_token_bearers(
        context: &Context,
        identity: &Identity,
        name: &str,
    ) -> Result<Self, Denied> {
        if !may_enter_rooms(context, identity) {
            return Err(Denied::NotFound);
        }
        Self::limited(context, Name::parse_any(context, name)?, Lookup::ForJoin).await
    }

    /// Returns the room of this name, which says who may enter, unless it is closed.
    async fn limited(context: &Context, name: Name, lookup: Lookup) -> Result<Self, Denied> {
        match record(context, name.as_str(), lookup).await? {
            Some(record) if record.closed => Err(Denied::NotFound),
            _ => Ok(Self { name: name.into(), kind: Kind::Limited }),
        }
    }

    /// Returns the room in the request's path.
    ///
    /// # Errors
    /// As [`find`](Self::find): 400, 401, 404, or 503.
    pub(crate) async fn from_path(request: &Request) -> Result<Self, Refusal> {
        let name = request.param("room").unwrap_or_default();
        Ok(Self::find(request.context(), request.identity(), name).await?)
    }

    /// Returns the room in the query, as `?room=`.
    ///
    /// # Errors
    /// As [`find`](Self::find): 400, 401, 404, or 503.
    pub(crate) async fn from_query(request: &Request) -> Result<Self, Refusal> {
        let name = request.query("room").unwrap_or_default();
        Ok(Self::find(request.context(), request.identity(), &name).await?)
    }

    /// Returns the room in the path of an operator's request, as
    /// [`find_for_operator`](Self::find_for_operator).
    ///
    /// # Errors
    /// Returns 400, 404, or 503.
    pub(crate) async fn from_operator_path(request: &Request) -> Result<(Self, RoomRecord), Refusal> {
        let name = request.param("room").unwrap_or_default();
        Ok(Self::find_for_operator(request.context(), request.identity(), name).await?)
    }

    /// Returns the room in the path of an API request, as [`find_for_api`](Self::find_for_api).
    ///
    /// # Errors
    /// Returns 400, 404, or 503.
    pub(crate) async fn from_api_path(request: &Request) -> Result<Self, Refusal> {
        Ok(Self::find_for_api(request.context(), request.param("room").unwrap_or_default()).await?)
    }

    /// Returns the room of this name without a lookup, for its page while the layer is unreachable.
    /// The page shows nothing of the room; sockets and event streams look it up once the layer is
    /// back.
    ///
    /// # Errors
    /// Returns [`Denied::BadName`] for an invalid name.
    pub(crate) fn unchecked(context: &Context, name: &str) -> Result<Self, Denied> {
        Ok(Self { name: Name::parse(context, name)?.into(), kind: Kind::Public })
    }

    /// Returns the room of this name and its record for an operator: also private and closed rooms,
    /// but no private chats.
    ///
    /// # Errors
    /// Returns [`Denied`]: for an invalid name, for other clients, and when the layer does not
    /// answer.
    pub(crate) async fn find_for_operator(
        context: &Context,
        identity: &Identity,
        name: &str,
    ) -> Result<(Self, RoomRecord), Denied> {
        if !identity.is_staff() {
            return Err(Denied::NotFound);
        }
        let name = Name::parse_any(context, name)?;
        let record = record(context, name.as_str(), Lookup::Stored).await?;
        Ok((Self::of(name), record.unwrap_or_default()))
    }

    /// Returns the room of this name for the API, whose clients act for the site: also private
    /// rooms, but no closed rooms and no private chats.
    ///
    /// # Errors
    /// Returns [`Denied`]: for an invalid name, for a closed room, and when the layer does not
    /// answer.
    pub(crate) async fn find_for_api(context: &Context, name: &str) -> Result<Self, Denied> {
        if name.starts_with('@') {
            return Err(Denied::NotFound);
        }
        let name = Name::parse_any(context, name)?;
        // As above: its push group may be the chat group of another room.
        let other = name.as_str().strip_prefix(CHAT_PREFIX);
        for name in [Some(name.as_str()), other].into_iter().flatten() {
            let record = record(context, name, Lookup::Stored).await?;
            if record.is_some_and(|record| record.closed) {
                return Err(Denied::NotFound);
            }
        }
        Ok(Self::of(name))
    }

    /// Returns the room of this name, whatever its record says.
    fn of(name: Name) -> Self {
        let kind = if name.is_limited() { Kind::Limited } else { Kind::Public };
        Self { name: name.into(), kind }
    }

    /// Returns whether its members may publish.
    pub(crate) fn may_publish(&self, context: &Context) -> bool {
        name::options(context, &self.name).allow_publish_for_subscriber
    }

    /// Returns the client's name for the room: `lobby`, `@alice`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns what the room is called on its page: its name, or of a private chat the peer's.
    pub(crate) fn title(&self) -> &str {
        if let Kind::Direct(_, peer) = &self.kind { peer } else { &self.name }
    }

    /// Returns the record of a private room.
    pub(crate) fn private(&self) -> Option<&RoomRecord> {
        if let Kind::Private(record) = &self.kind { Some(record) } else { None }
    }

    /// Returns the private chat that the room is.
    pub(crate) fn conversation(&self) -> Option<&Conversation> {
        if let Kind::Direct(conversation, _) = &self.kind { Some(conversation) } else { None }
    }

    /// Returns the chat group.
    pub(crate) fn chat_group(&self) -> Group {
        match &self.kind {
            Kind::Direct(conversation, _) => conversation.chat_group(),
            _ => groups::chat_group(&self.name),
        }
    }

    /// Returns the group of the push stream.
    pub(crate) fn push_group(&self) -> Group {
        match &self.kind {
            Kind::Direct(conversation, _) => conversation.push_group(),
            _ => groups::push_group(&self.name),
        }
    }

    /// Grants access to one of the room's groups.
    pub(crate) fn grant(&self, context: &Context, group: Group) -> Grant {
        // A listener of the push stream of `chat_x` is no member of the chat of `x`.
        let is_listener = self.name.starts_with(CHAT_PREFIX) && group == self.push_group();
        let grant = Grant::new(group, &self.name);
        let grant = if is_listener { grant.as_listener() } else { grant };
        let options = name::options(context, &self.name);
        let grant = grant
            .with_connections(options.connections())
            .with_history(options.history_size, options.history_ttl);
        let grant = if options.allow_publish_for_subscriber { grant } else { grant.read_only() };
        match &self.kind {
            Kind::Public => grant,
            Kind::Private(_) | Kind::Direct(..) | Kind::Limited => grant.private(),
        }
    }
}

/// Refuses clients that may not enter any room.
fn check_client(context: &Context, identity: &Identity) -> Result<(), Denied> {
    if !may_enter_rooms(context, identity) {
        const DETAIL: &str = "`Cookie`: expected the cookie of a login, for there are no guests here";
        return Err(Denied::LoginRequired(Reason::new(DETAIL).message_key("no_guests")));
    }
    // In a room, a client both reads and publishes.
    if identity.role() == Role::Key && !(identity.may(scopes::READ) && identity.may(scopes::PUBLISH)) {
        return Err(Denied::NotFound);
    }
    Ok(())
}

/// Returns whether the client may enter any room: guests may be excluded.
pub(crate) fn may_enter_rooms(context: &Context, identity: &Identity) -> bool {
    identity.role() > Role::Guest || !context.config().auth.no_guests
}

async fn record(context: &Context, name: &str, lookup: Lookup) -> Result<Option<RoomRecord>, LayerError> {
    let (store, key) = (context.store(), RoomRecord::key(name));
    match lookup {
        Lookup::Stored => store.read(&key).await,
        Lookup::ForJoin => store.read_for_join(&key).await,
    }
}

/// Returns the kind of the room for the client; `None` if the client may not see the room.
async fn kind(
    context: &Context,
    identity: &Identity,
    name: &str,
    lookup: Lookup,
) -> Result<Option<Kind>, LayerError> {
    Ok(match record(context, name, lookup).await? {
        Some(record) if record.closed => None,
        Some(record) if record.private => {
            is_member(context, identity, name, &record).await?.then_some(Kind::Private(record))
        }
        _ => Some(Kind::Public),
    })
}

async fn is_member(
    context: &Context,
    identity: &Identity,
    name: &str,
    record: &RoomRecord,
) -> Result<bool, LayerError> {
    if !identity.is_user() {
        return Ok(false);
    }
    Ok(record.is_owned_by(identity)
        || context.store().rank(&RoomRecord::members(name), identity.id()).await?.is_some())
}
