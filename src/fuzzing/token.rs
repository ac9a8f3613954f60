//! JSON Web Tokens: arbitrary ones, and those with a valid signature.

use std::path::Path;
use std::sync::LazyLock;

use clap::Parser;
use jsonwebtoken::{Algorithm, EncodingKey, crypto, get_current_timestamp};
use serde_json::Value;

use super::within;
use crate::auth::jwt::Verifier;
use crate::config::tokens::Tokens;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Bytes of memory per byte of input: two bytes can be a member of a tree of values.
const BYTES_PER_INPUT_BYTE: usize = 512;
const BASE_BYTES: usize = 64 * 1024;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    tokens: Tokens,
}

static PLACE: LazyLock<(Verifier, EncodingKey)> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys/hs256.txt");
    let path = file.to_str().expect("a path that is text");
    let flags = ["", "--token-key-file", path, "--token-algorithm", "HS256"];
    let mut tokens = Settings::parse_from(flags).tokens;
    tokens.read_secret().expect("a secret");
    let verifier = Verifier::new(&tokens).expect("a good secret").expect("a verifier");
    (verifier, EncodingKey::from_secret(tokens.key().expect("a secret").bytes()))
});

/// Verifies a token; or a header and claims, one a line, which are signed first.
pub fn token(bytes: &[u8]) {
    let (verifier, key) = &*PLACE;
    if let Ok(text) = std::str::from_utf8(bytes) {
        let claims = within(BASE_BYTES + BYTES_PER_INPUT_BYTE * bytes.len(), || verifier.verify(text));
        assert!(claims.is_err(), "only our key signs: {claims:?}");
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (head, payload) = (&bytes[..end], &bytes[end + 1..]);
    let signed = format!("{}.{}", base64(head), base64(payload));
    let signature = crypto::sign(signed.as_bytes(), key, Algorithm::HS256).expect("a signature");
    let token = format!("{signed}.{signature}");
    let Ok(claims) = within(BASE_BYTES + BYTES_PER_INPUT_BYTE * token.len(), || verifier.verify(&token))
    else {
        return;
    };
    // The library ignores unknown members, even if they are not texts.
    let [Ok(head), Ok(payload)] = [head, payload].map(serde_json::from_slice::<Value>) else { return };
    assert!(head["alg"] == "HS256" && head["crit"].is_null(), "{head}");
    assert!(payload["sub"] == *claims.sub && !claims.sub.is_empty(), "{payload}");
    assert!(payload["aud"].is_null(), "{payload} is for another audience");
    let now = get_current_timestamp();
    let exp = claims.exp.expect("a token has an end");
    assert!(exp + 10 >= now && exp <= 253_402_300_799, "{payload} has ended");
    assert!(payload["nbf"].as_u64().is_none_or(|begins| begins <= now + 10), "{payload} has not begun");
}

/// Encodes as base64url without padding (RFC 7515).
fn base64(bytes: &[u8]) -> String {
    let digits = bytes.chunks(3).flat_map(|three| {
        let number =
            three.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        let digit = move |place: usize| char::from(DIGITS[number >> (6 * (3 - place)) & 63]);
        (0..=three.len()).map(digit)
    });
    digits.collect()
}
