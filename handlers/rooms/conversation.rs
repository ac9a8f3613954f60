//! A private chat of two accounts: a room with the same groups from both sides.

use parlor::{Account, Context, Group, Identity, LayerError};

/// The prefix of a conversation's chat group. Names of rooms have no colon, so no room has such a
/// group.
const CHAT_PREFIX: &str = "chat_dm:";
/// The prefix of a conversation's push group.
const PUSH_PREFIX: &str = "dm:";

/// A private chat, from the side of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    user: String,
    peer: String,
}

impl Conversation {
    /// Creates the conversation of this user with a peer, by their ids.
    pub(crate) fn new(user: &str, peer: &str) -> Self {
        Self { user: user.to_owned(), peer: peer.to_owned() }
    }

    /// Returns the conversation of the client with the account of this name, and the account.
    /// `None` if there is no such account, if it is the client's own, or if the client has no
    /// account.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn with(
        context: &Context,
        identity: &Identity,
        name: &str,
    ) -> Result<Option<(Self, Account)>, LayerError> {
        if !identity.is_user() {
            return Ok(None);
        }
        let peer = context.accounts().find_by_name(name).await?.filter(|peer| peer.id != identity.id());
        Ok(peer.map(|peer| (Self::new(identity.id(), &peer.id), peer)))
    }

    /// Returns the conversation of this group from the client's side; `None` for other groups.
    pub(crate) fn from_group(group: &Group, identity: &Identity) -> Option<Self> {
        let (one, other) = group.name().strip_prefix(CHAT_PREFIX)?.split_once(':')?;
        let peer = if one == identity.id() { other } else { one };
        Some(Self::new(identity.id(), peer))
    }

    /// Returns the id of the user from whose side the conversation is.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Returns the id of the peer.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Returns the conversation from the peer's side.
    pub(crate) fn reversed(&self) -> Self {
        Self::new(&self.peer, &self.user)
    }

    pub(crate) fn chat_group(&self) -> Group {
        self.group(CHAT_PREFIX)
    }

    pub(crate) fn push_group(&self) -> Group {
        self.group(PUSH_PREFIX)
    }

    fn group(&self, prefix: &str) -> Group {
        let (one, other) =
            if self.user < self.peer { (&self.user, &self.peer) } else { (&self.peer, &self.user) };
        Group::new(&format!("{prefix}{one}:{other}"))
    }
}
