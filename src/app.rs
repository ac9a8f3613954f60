//! The application: what `handlers/` brings, and all that the runtime knows of it.

use rust_embed::EmbeddedFile;

use crate::http::site::Site;
use crate::server::route::Route;
use crate::server::routes::Routes;

/// What an application brings.
#[derive(Clone, Copy)]
pub struct Application {
    /// One sentence for `--help`.
    pub about: &'static str,
    /// The routes. The first that matches a path serves it.
    pub routes: &'static [Route],
    /// A file of the binary by its path, as `templates/error.html`.
    pub assets: fn(&str) -> Option<EmbeddedFile>,
    /// The languages of `locales/`, the first for clients that name none, the last for all others.
    pub languages: &'static [&'static str],
    /// The prefixes of paths that serve programs: a refusal there is a problem document (RFC 9457).
    pub api_prefixes: &'static [&'static str],
    /// What API keys may be allowed to do.
    pub scopes: &'static [&'static str],
}

impl Application {
    /// What pages and refusals need of it.
    pub(crate) fn site(&self) -> Site {
        Site {
            assets: self.assets,
            languages: self.languages,
            api_prefixes: self.api_prefixes,
            urls: Routes(self.routes).urls(),
        }
    }
}
