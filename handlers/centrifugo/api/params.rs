//! What programs send: an object with the parameters of a method.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::protocols::centrifugo::encoding::object;
use crate::protocols::centrifugo::error::{Error, ErrorCode};

/// The most channels of a broadcast, and commands of a batch.
pub(super) const MAX_ITEMS: usize = 100;

/// The most characters of what is wrong with parameters: it may quote them.
const MAX_DETAIL_CHARS: usize = 200;

/// Parses the parameters of a method, of which it has to know each.
pub(super) fn params<P: DeserializeOwned>(body: &str) -> Result<P, Error> {
    object(body.as_bytes()).map_err(|error| bad_params(&error.to_string()))
}

/// An error that says what is wrong with parameters.
pub(super) fn bad_params(detail: &str) -> Error {
    let error = Error::from(ErrorCode::BadRequest);
    let detail: String = detail.chars().take(MAX_DETAIL_CHARS).collect();
    Error { message: format!("{}: {detail}", error.message), ..error }
}

/// The parameters of methods that have none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParams {}
