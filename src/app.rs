//! The application: what `handlers/` brings, and all that the runtime knows of it.

use std::collections::HashMap;

use rust_embed::EmbeddedFile;

use crate::http::site::Site;
use crate::server::route::Route;

/// What an application brings.
#[derive(Clone, Copy)]
pub struct Application {
    /// One sentence for `--help`.
    pub about: &'static str,
    /// The route of a path, given as its segments: `/a/b/` is `["a", "b", ""]`.
    pub routes: fn(&[&str]) -> Option<Route>,
    /// A file of the binary by its path, as `templates/error.html`.
    pub assets: fn(&str) -> Option<EmbeddedFile>,
    /// The languages of `locales/`, the first for clients that name none, the last for all others.
    pub languages: &'static [&'static str],
    /// How paths begin at which other programs are served: what is refused there, by a handler or before it, is told as
    /// a problem document (RFC 9457).
    pub programs: &'static [&'static str],
    /// What API keys may be allowed to do.
    pub scopes: &'static [&'static str],
    /// The path of a route by its name, for templates.
    pub url: fn(&str, &HashMap<String, String>) -> Option<String>,
}

impl Application {
    /// What pages and refusals need of it.
    pub(crate) fn site(&self) -> Site {
        Site { assets: self.assets, languages: self.languages, programs: self.programs, url: self.url }
    }
}
