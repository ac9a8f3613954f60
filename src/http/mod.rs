//! HTTP: from a connection to a handler and back.

pub(crate) mod client_address;
pub(crate) mod client_streams;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod csrf;
pub(crate) mod form;
pub(crate) mod pages;
pub(crate) mod params;
pub(crate) mod path_pattern;
pub(crate) mod phase;
pub(crate) mod problem;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod sessions;
pub(crate) mod site;
pub(crate) mod static_files;
pub(crate) mod upgrade;
pub(crate) mod urls;
