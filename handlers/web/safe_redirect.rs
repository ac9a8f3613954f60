//! The target of a redirect after a form: a path of this host.

use parlor::{Form, Request, Response, StatusCode};

/// The page on which a user chooses a room: the route `home`.
pub(crate) const HOME: &str = "/chat/";

/// A path of this host.
pub(crate) struct SafeRedirect(String);

impl SafeRedirect {
    /// Returns the page on which a user chooses a room.
    pub(crate) fn home() -> Self {
        Self(HOME.to_owned())
    }

    /// Returns the path in the query, as `?next=`.
    pub(crate) fn from_query(request: &Request) -> Self {
        Self::parse(&request.query("next").unwrap_or_default())
    }

    /// Returns the path in the form's field `next`.
    pub(crate) fn from_form(form: &Form) -> Self {
        Self::parse(form.get("next"))
    }

    pub(crate) fn path(&self) -> &str {
        &self.0
    }

    /// Redirects to the path.
    pub(crate) fn redirect(&self) -> Response {
        Response::redirect(StatusCode::SEE_OTHER, &self.0)
    }

    pub(crate) fn parse(text: &str) -> Self {
        // Browsers read `\` as `/`, ignore tabs and line breaks, and read `//` as the start of a
        // host.
        let safe = text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if safe { Self(text.to_owned()) } else { Self::home() }
    }
}

#[cfg(test)]
mod tests {
    use super::SafeRedirect;

    #[test]
    fn only_a_path_of_this_host_is_a_redirect_target() {
        for path in ["/chat/lobby/", "/dm/%E8%81%8A/?a=b&c=//d", "/"] {
            assert_eq!(SafeRedirect::parse(path).path(), path);
        }
        for other in [
            "",
            "chat/",
            "//evil.example/",
            "/\\evil.example/",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\r\nSet-Cookie: a=b",
            "/聊天/",
            " /chat/",
        ] {
            assert_eq!(SafeRedirect::parse(other).path(), "/chat/", "{other:?}");
        }
    }
}
