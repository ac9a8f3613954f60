//! What programs send: an object with the parameters of a method.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::protocols::centrifugo::encoding::object;
use crate::protocols::centrifugo::error::ErrorCode;

/// The most channels of a broadcast, and commands of a batch.
pub(super) const MAX_ITEMS: usize = 100;

/// Parses the parameters of a method, of which it has to know each.
pub(super) fn params<P: DeserializeOwned>(body: &str) -> Result<P, ErrorCode> {
    object(body.as_bytes()).ok_or(ErrorCode::BadRequest)
}

/// The parameters of methods that have none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParams {}
