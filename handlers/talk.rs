//! A private chat of two accounts: the same from both sides.

use parlor::error::Unavailable;
use parlor::{Group, Request};

/// What the names of such groups begin with. No room's name has a colon, so none of them is a room's.
const CHAT: &str = "chat_dm:";
const PUSH: &str = "dm:";

/// A private chat, as one of the two sees it.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    mine: String,
    peer: String,
    name: String,
}

impl Talk {
    /// The chat of the client with the account of this name; `None` if there is no such account, it is the client's own,
    /// or the client has none.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer does not answer.
    pub(crate) async fn with(request: &Request, name: &str) -> Result<Option<Self>, Unavailable> {
        let identity = request.identity();
        if !identity.is_user() {
            return Ok(None);
        }
        let peer = request.node().accounts().named(name).await?.filter(|peer| peer.id != identity.id());
        Ok(peer.map(|peer| Self { mine: identity.id().to_owned(), peer: peer.id, name: peer.name }))
    }

    /// What the other one is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn chat_group(&self) -> Group {
        self.group(CHAT)
    }

    pub(crate) fn push_group(&self) -> Group {
        self.group(PUSH)
    }

    fn group(&self, prefix: &str) -> Group {
        let (one, other) =
            if self.mine < self.peer { (&self.mine, &self.peer) } else { (&self.peer, &self.mine) };
        Group::new(&format!("{prefix}{one}:{other}"))
    }
}
