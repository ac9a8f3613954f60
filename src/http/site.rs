//! What an application brings to pages and refusals.

use std::collections::HashMap;

use rust_embed::EmbeddedFile;

/// The part of an application that pages and refusals need.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) assets: fn(&str) -> Option<EmbeddedFile>,
    pub(crate) languages: &'static [&'static str],
    pub(crate) programs: &'static [&'static str],
    pub(crate) url: fn(&str, &HashMap<String, String>) -> Option<String>,
}
