//! The path of a route, as the route table writes it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that are percent-encoded in a path segment or a query: all but the unreserved
/// ones (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path of literal segments and parameters: `/shelves/{shelf}/books/`, `/static/{path*}`.
///
/// `{name}` stands for one segment, which may be empty; `{name*}` stands for the rest of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern(&'static str);

/// The parameters of a path, not decoded, in the order of the pattern.
pub(crate) type RawParams<'a> = Vec<(&'static str, &'a str)>;

enum Segment {
    Literal(&'static str),
    Param(&'static str),
    Rest(&'static str),
}

impl PathPattern {
    pub(crate) const fn new(pattern: &'static str) -> Self {
        Self(pattern)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns the parameters of `path`, or `None` when it does not match.
    pub(crate) fn matches(self, path: &str) -> Option<RawParams<'_>> {
        let (mut pattern, mut path) = (self.0.strip_prefix('/')?, path.strip_prefix('/')?);
        let mut params = Vec::new();
        loop {
            let (segment, patterns) = first_segment(pattern);
            let (given, rest) = first_segment(path);
            match Segment::parse(segment) {
                Segment::Literal(text) if text == given => {}
                Segment::Literal(_) => return None,
                Segment::Param(name) => params.push((name, given)),
                Segment::Rest(name) => {
                    params.push((name, path));
                    return Some(params);
                }
            }
            match (patterns, rest) {
                (Some(next_pattern), Some(next_path)) => (pattern, path) = (next_pattern, next_path),
                (None, None) => return Some(params),
                _ => return None,
            }
        }
    }

    /// Writes the path with these arguments. Arguments that are no parameter of the path become the
    /// query.
    ///
    /// Returns `None` when the argument of a parameter is missing.
    pub(crate) fn fill(self, arguments: &[(&str, &str)]) -> Option<String> {
        let argument = |wanted: &str| arguments.iter().find(|(name, _)| *name == wanted);
        let mut url = String::new();
        let mut in_path = Vec::new();
        for segment in self.0.split('/').skip(1) {
            url.push('/');
            match Segment::parse(segment) {
                Segment::Literal(text) => url.push_str(text),
                Segment::Param(name) | Segment::Rest(name) => {
                    let (name, value) = argument(name)?;
                    in_path.push(*name);
                    url.extend(utf8_percent_encode(value, RESERVED));
                }
            }
        }
        let query = arguments.iter().filter(|(name, _)| !in_path.contains(name));
        for (position, (name, value)) in query.enumerate() {
            url.push(if position == 0 { '?' } else { '&' });
            url.extend(utf8_percent_encode(name, RESERVED));
            url.push('=');
            url.extend(utf8_percent_encode(value, RESERVED));
        }
        Some(url)
    }
}

impl Segment {
    fn parse(text: &'static str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Self::Literal(text),
            Some(name) => name.strip_suffix('*').map_or(Self::Param(name), Self::Rest),
        }
    }
}

/// Splits off the first segment; the rest is `None` after the last one.
fn first_segment(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_paths_segment_by_segment() {
        let members = PathPattern::new("/chat/{room}/members/");
        assert_eq!(members.matches("/chat/a%20b/members/"), Some(vec![("room", "a%20b")]));
        assert_eq!(members.matches("/chat//members/"), Some(vec![("room", "")]));
        for path in ["/chat/lobby/members", "/chat/lobby/members/x", "/chat/", "/", "", "chat/lobby/members/"]
        {
            assert_eq!(members.matches(path), None, "{path}");
        }
        let files = PathPattern::new("/static/{path*}");
        assert_eq!(files.matches("/static/a/b.css"), Some(vec![("path", "a/b.css")]));
        assert_eq!(files.matches("/static/"), Some(vec![("path", "")]));
        assert_eq!(files.matches("/static"), None);
        assert_eq!(PathPattern::new("/").matches("/"), Some(vec![]));
    }

    #[test]
    fn several_parameters_are_matched_in_their_order() {
        let pattern = PathPattern::new("/a/{one}/b/{two}");
        assert_eq!(pattern.matches("/a/1/b/2"), Some(vec![("one", "1"), ("two", "2")]));
    }

    #[test]
    fn surplus_arguments_become_the_query() {
        let room = PathPattern::new("/chat/{room}/");
        assert_eq!(room.fill(&[("room", "a b/聊")]).as_deref(), Some("/chat/a%20b%2F%E8%81%8A/"));
        assert_eq!(room.fill(&[("since", "5"), ("room", "x")]).as_deref(), Some("/chat/x/?since=5"));
        assert_eq!(room.fill(&[("rom", "x")]), None);
        let login = PathPattern::new("/accounts/login/");
        assert_eq!(
            login.fill(&[("next", "/chat/?a=b"), ("b", "c")]).as_deref(),
            Some("/accounts/login/?next=%2Fchat%2F%3Fa%3Db&b=c")
        );
    }
}
