//! What programs receive: a result or an error.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::protocols::centrifugo::error::Error;
use crate::protocols::centrifugo::replies::{api_error, raw};

/// What a method returns.
pub(super) type Answer = Box<RawValue>;

/// Returns an object with what a method returned under this name, or with an `error`.
pub(super) fn outcome(name: &str, result: Result<Answer, impl Into<Error>>) -> Answer {
    raw(&match result {
        Ok(result) => BTreeMap::from([(name, result)]),
        Err(error) => BTreeMap::from([("error", api_error(&error.into()))]),
    })
}
