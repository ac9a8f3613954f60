//! The route table: finds the route of a path.

use crate::http::params::Params;
use crate::http::urls::Urls;
use crate::server::error::ServerError;
use crate::server::route::{Route, Slash};

/// The routes of an application. The first that matches a path serves it.
#[derive(Clone, Copy)]
pub(crate) struct Routes(pub(crate) &'static [Route]);

/// The route of a path.
pub(crate) struct Found {
    pub(crate) route: &'static Route,
    pub(crate) params: Params,
    /// Whether the path lacks the slash of a route that redirects to the path with it.
    pub(crate) lacks_slash: bool,
}

impl Routes {
    /// Returns the route of this path. A route that matches it as it stands precedes one that
    /// redirects.
    pub(crate) fn find(self, path: &str) -> Option<Found> {
        let with_slash = format!("{path}/");
        let params = |route: &Route, path: &str| route.pattern.matches(path).map(|raw| Params::decode(&raw));
        let as_it_stands = self.0.iter().find_map(|route| {
            let other = if route.pattern.as_str().ends_with('/') {
                Some(with_slash.as_str())
            } else {
                path.strip_suffix('/')
            };
            let other = other.filter(|_| route.slash == Slash::Optional);
            let params = params(route, path).or_else(|| params(route, other?))?;
            Some(Found { route, params, lacks_slash: false })
        });
        as_it_stands.or_else(|| {
            let mut redirecting = self.0.iter().filter(|route| route.slash == Slash::Redirect);
            redirecting.find_map(|route| {
                Some(Found { route, params: params(route, &with_slash)?, lacks_slash: true })
            })
        })
    }

    /// The paths of the routes by their names.
    pub(crate) fn urls(self) -> Urls {
        self.0.iter().map(|route| (route.name, route.pattern)).collect()
    }

    /// Checks that each route has a name of its own and is not hidden by one before it.
    ///
    /// # Errors
    /// Returns [`ServerError::DuplicateName`] and [`ServerError::HiddenRoute`].
    pub(crate) fn check(self) -> Result<(), ServerError> {
        for (position, route) in self.0.iter().enumerate() {
            let (name, pattern) = (route.name, route.pattern.as_str());
            if self.0[..position].iter().any(|earlier| earlier.name == name) {
                return Err(ServerError::DuplicateName { name });
            }
            // A pattern is a path that it matches itself.
            let found = self.find(pattern).map(|found| found.route.name);
            if found != Some(name) {
                return Err(ServerError::HiddenRoute { name, pattern, by: found.unwrap_or("none") });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[Route] = &[
        Route::new("home", "/chat/").slash(Slash::Redirect),
        Route::new("room", "/chat/{room}/").slash(Slash::Redirect),
        Route::new("socket", "/ws/{room}/").slash(Slash::Optional),
        Route::new("push", "/push/{room}").slash(Slash::Optional),
        Route::new("api", "/api/rooms"),
    ];

    fn find(path: &str) -> Option<(&'static str, Option<String>, bool)> {
        let found = Routes(TABLE).find(path)?;
        Some((found.route.name, found.params.get("room").map(str::to_owned), found.lacks_slash))
    }

    #[test]
    fn a_path_is_served_by_the_first_route_that_matches_it() {
        let room = |text: &str| Some(text.to_owned());
        for (path, expected) in [
            ("/chat/", Some(("home", None, false))),
            ("/chat", Some(("home", None, true))),
            ("/chat/a%20b/", Some(("room", room("a b"), false))),
            ("/chat/a%20b", Some(("room", room("a b"), true))),
            ("/chat/%ff/", Some(("room", None, false))),
            ("/chat//", Some(("room", room(""), false))),
            ("/ws/a", Some(("socket", room("a"), false))),
            ("/ws/a/", Some(("socket", room("a"), false))),
            ("/push/a", Some(("push", room("a"), false))),
            ("/push/a/", Some(("push", room("a"), false))),
            ("/api/rooms", Some(("api", None, false))),
            ("/api/rooms/", None),
            ("/", None),
            ("//", None),
            ("*", None),
        ] {
            assert_eq!(find(path), expected, "{path}");
        }
    }

    #[test]
    fn a_table_with_a_hidden_route_or_a_name_twice_is_refused() {
        static HIDDEN: &[Route] = &[Route::new("a", "/{any}"), Route::new("b", "/b")];
        static TWICE: &[Route] = &[Route::new("a", "/a"), Route::new("a", "/b")];
        let check = |table| Routes(table).check().map_err(|error| error.to_string());
        assert_eq!(check(TABLE), Ok(()));
        assert_eq!(check(HIDDEN), Err("route `b`: `/b` is served by `a`".to_owned()));
        assert_eq!(check(TWICE), Err("route `a`: expected a name of its own".to_owned()));
    }
}
