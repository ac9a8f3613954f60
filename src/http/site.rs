//! The part of an application that pages and refusals need.

use rust_embed::EmbeddedFile;

use crate::http::urls::Urls;

/// The part of an application that pages and refusals need.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) assets: fn(&str) -> Option<EmbeddedFile>,
    pub(crate) languages: &'static [&'static str],
    pub(crate) api_prefixes: &'static [&'static str],
    pub(crate) urls: Urls,
}
