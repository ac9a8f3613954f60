//! The paths of routes by their names.

use std::sync::Arc;

use crate::http::path_pattern::PathPattern;

/// The paths of an application's routes by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Urls(Arc<[(&'static str, PathPattern)]>);

impl Urls {
    /// Writes the path of a route. Arguments that are no parameter of the path become the query.
    ///
    /// Returns `None` when there is no route of this name, or when the argument of a parameter is
    /// missing.
    pub(crate) fn url(&self, route: &str, arguments: &[(&str, &str)]) -> Option<String> {
        self.0.iter().find(|(name, _)| *name == route)?.1.fill(arguments)
    }
}

impl FromIterator<(&'static str, PathPattern)> for Urls {
    fn from_iter<I: IntoIterator<Item = (&'static str, PathPattern)>>(routes: I) -> Self {
        Self(routes.into_iter().collect())
    }
}
