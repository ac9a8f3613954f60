//! Authentication: identifies the client of each request before its handler runs.
//!
//! A token, an API key or a ticket identifies the client or fails the request. Without one, cookies
//! identify an account or a guest. A client without valid cookies is anonymous, with a new id for
//! each request.

pub(crate) mod accounts;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod authenticator;
pub(crate) mod cookie_names;
pub(crate) mod credentials;
pub(crate) mod error;
pub(crate) mod guests;
pub(crate) mod identity;
pub(crate) mod jwt;
mod outside_users;
mod passwords;
pub mod secret;
pub(crate) mod sessions;
mod shared_secret;
mod shown_name;
pub(crate) mod tickets;
pub(crate) mod usernames;
