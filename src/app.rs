//! The application: what `handlers/` provides to the runtime.

use rust_embed::EmbeddedFile;

use crate::config::app_name::AppName;
use crate::config::app_settings::AppSettings;
use crate::http::site::Site;
use crate::server::route::Route;
use crate::server::routes::Routes;

/// What an application provides.
#[derive(Clone, Copy)]
pub struct Application {
    /// Its name: lower-case ASCII letters, digits and `_`. Environment variables, keys in Redis,
    /// metrics and cookies begin with it.
    pub name: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
    /// The application's own settings.
    pub settings: AppSettings,
    /// The routes. The first one that matches a path serves it.
    pub routes: &'static [Route],
    /// Returns an embedded file by its path, such as `templates/error.html`.
    pub assets: fn(&str) -> Option<EmbeddedFile>,
    /// The languages of `locales/`, the first for clients that name none, the last for all others.
    pub languages: &'static [&'static str],
    /// Path prefixes of APIs. Their errors are problem documents (RFC 9457).
    pub api_prefixes: &'static [&'static str],
    /// The scopes that API keys may have.
    pub scopes: &'static [&'static str],
    /// Records and indexes that a former version kept under other names: how their keys in Redis
    /// began, and how they begin now, with `}` behind the rest. They are renamed at start.
    pub renamed_records: &'static [(&'static str, &'static str)],
}

impl Application {
    /// Returns the name.
    ///
    /// # Panics
    /// Panics when it has other characters than [`name`](Self::name) allows.
    pub(crate) fn app_name(&self) -> AppName {
        AppName::new(self.name)
    }

    /// Returns what pages and error pages need of the application.
    pub(crate) fn site(&self) -> Site {
        Site {
            assets: self.assets,
            languages: self.languages,
            api_prefixes: self.api_prefixes,
            urls: Routes(self.routes).urls(),
        }
    }
}
