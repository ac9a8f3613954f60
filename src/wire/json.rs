//! JSON of clients that other clients receive as it came.

use serde_json::{Error, Value};

/// Parses JSON as strictly and as deep as it is read in the frame of a client.
///
/// # Errors
/// Returns an error for what is no JSON, for a number that no reader can hold, for half a surrogate
/// pair, and for 127 levels.
pub fn parse(json: &str) -> Result<Value, Error> {
    let [value]: [Value; 1] = serde_json::from_str(&format!("[{json}]"))?;
    Ok(value)
}
