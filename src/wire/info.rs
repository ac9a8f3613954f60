//! What a backend has the other clients of a channel know of a connection: any JSON.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::wire::json::parse;

/// The longest info, in bytes: a list of connections and each message of one have it.
pub const MAX_INFO_BYTES: usize = 1024;

/// The text is no JSON that all clients can read, or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected JSON of up to {MAX_INFO_BYTES} bytes that all clients can read")]
pub struct InfoError;

/// Returns the info that is given as JSON or, with precedence, as JSON in base64.
///
/// # Errors
/// Returns [`InfoError`] for what is no JSON, for more than [`MAX_INFO_BYTES`], and for what some
/// client cannot read: it could not read the frames that have it.
pub fn info(json: Option<&RawValue>, base64: Option<&str>) -> Result<Option<Arc<str>>, InfoError> {
    let info = match base64.filter(|text| !text.is_empty()) {
        // Four digits are three bytes.
        Some(text) if text.len() / 4 > MAX_INFO_BYTES.div_ceil(3) => return Err(InfoError),
        Some(text) => {
            let bytes = STANDARD.decode(text).map_err(|_| InfoError)?;
            let json: &RawValue = serde_json::from_slice(&bytes).map_err(|_| InfoError)?;
            Some(Arc::from(json.get()))
        }
        None => json.map(|json| Arc::from(json.get())),
    };
    let is_bad = |info: &Arc<str>| info.len() > MAX_INFO_BYTES || parse(info).is_err();
    if info.as_ref().is_some_and(is_bad) {
        return Err(InfoError);
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[test]
    fn an_info_is_kept_as_it_is_written_up_to_its_bound() {
        let longest = format!("\"{}\"", "x".repeat(MAX_INFO_BYTES - 2));
        for text in ["1.50", "{ \"a\": [null] }", "\"\u{fc}\"", &longest] {
            assert_eq!(info(Some(&json(text)), None).expect("an info").as_deref(), Some(text));
            let encoded = STANDARD.encode(text);
            assert_eq!(info(Some(&json("7")), Some(&encoded)).expect("an info").as_deref(), Some(text));
        }
        assert_eq!(info(None, None), Ok(None));
        assert_eq!(info(None, Some("")), Ok(None));
        let longer = format!("\"{}\"", "x".repeat(MAX_INFO_BYTES - 1));
        assert_eq!(info(Some(&json(&longer)), None), Err(InfoError));
        for text in ["1e999", "\"\\ud800\"", &("[".repeat(200) + &"]".repeat(200))] {
            assert_eq!(info(Some(&json(text)), None), Err(InfoError), "{text}");
            assert_eq!(info(None, Some(&STANDARD.encode(text))), Err(InfoError), "{text}");
        }
        for text in
            [&*STANDARD.encode(&longer), "%", "e30", &STANDARD.encode("{"), &STANDARD.encode(b"\"\xff\"")]
        {
            assert_eq!(info(None, Some(text)), Err(InfoError), "{text}");
        }
    }
}
