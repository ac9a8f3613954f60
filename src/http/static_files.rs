//! Static files with their hash as ETag: revalidated at each use, sent again only when changed.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};

use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::wire::headers;
use crate::wire::hex::hex;

/// Bytes of the hash in an ETag.
const ETAG_BYTES: usize = 16;

impl Request {
    /// Returns the application's file at this path, as in `static/icon.svg`.
    ///
    /// # Errors
    /// Returns 404 when there is no such file.
    pub fn file(&self, path: &str) -> Result<Response, Refusal> {
        let file = self.context.pages().file(path).ok_or_else(Refusal::not_found)?;
        let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..ETAG_BYTES]));
        let known = headers::text(self.headers(), &IF_NONE_MATCH).is_some_and(|tags| {
            tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
        });
        let mut response = if known {
            let mut response = Response::text(StatusCode::NOT_MODIFIED, "");
            response.0.headers_mut().clear();
            response
        } else {
            let guess = mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream");
            let guess = match guess {
                "text/css" => "text/css; charset=utf-8",
                "text/javascript" => "text/javascript; charset=utf-8",
                other => other,
            };
            Response::new(
                StatusCode::OK,
                guess,
                match file.data {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => bytes.into(),
                },
            )
        };
        response = response.with(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let etag = HeaderValue::from_str(&etag).expect("hex digits in quotes");
        Ok(response.with(ETAG, etag))
    }
}
