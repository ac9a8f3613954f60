//! Rooms: names, access and pages.

pub(crate) mod claim;
pub(crate) mod conversation;
pub(crate) mod groups;
pub(crate) mod index_page;
pub(crate) mod invitations;
pub(crate) mod invite_page;
pub(crate) mod lists;
pub(crate) mod members_page;
pub(crate) mod membership;
pub(crate) mod name;
pub(crate) mod page;
pub(crate) mod record;
pub(crate) mod room;
pub(crate) mod unread;
