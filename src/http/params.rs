//! The parameters of a request's path.

use percent_encoding::percent_decode_str;

/// The parameters of a path by their names in the route table, percent-decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(&'static str, Option<String>)>);

impl Params {
    /// Decodes parameters. One that is not UTF-8 counts as missing.
    pub(crate) fn decode(raw: &[(&'static str, &str)]) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(Into::into);
        Self(raw.iter().map(|(name, text)| (*name, decode(text))).collect())
    }

    /// Returns the parameter of this name, or `None` when it is not UTF-8 or the path has none of
    /// the name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name)?.1.as_deref()
    }

    /// Returns the first parameter, or `None` when it is not UTF-8 or the path has none.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first()?.1.as_deref()
    }

    /// Returns the parameters as arguments of
    /// [`PathPattern::fill`](crate::http::path_pattern::PathPattern::fill).
    pub(crate) fn arguments(&self) -> Vec<(&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect()
    }
}
