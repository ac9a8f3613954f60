//! The fields of a form.

use std::collections::HashMap;

use crate::http::request::Request;

/// The fields of a form, as a browser sends them (`application/x-www-form-urlencoded`).
#[derive(Debug)]
pub struct Form(HashMap<String, String>);

impl Form {
    /// Parses a body. Of several fields of one name, the last counts.
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// Returns a field; empty when the form has none of this name.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Request {
    /// Parses the body as a form.
    ///
    /// The guards of the route have checked its CSRF token.
    pub fn form(&self) -> Form {
        Form::parse(self.body())
    }
}
