//! Signing keys, and tokens of any shape.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// A key pair from `tests/fixtures/keys`.
pub struct KeyPair {
    name: &'static str,
    pub algorithm: Algorithm,
    signs: EncodingKey,
}

impl KeyPair {
    /// The pair for this algorithm whose public half nodes may be given.
    pub fn for_algorithm(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RS256 => Self::named("rsa", algorithm),
            Algorithm::ES256 => Self::named("ec", algorithm),
            _ => Self::named("ed", algorithm),
        }
    }

    /// An RSA pair that no node knows.
    pub fn unknown_to_nodes() -> Self {
        Self::named("other_rsa", Algorithm::RS256)
    }

    fn named(name: &'static str, algorithm: Algorithm) -> Self {
        let pem = fs::read(folder().join(format!("{name}.pem"))).expect("a private key");
        let signs = match algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
            _ => EncodingKey::from_ed_pem(&pem),
        };
        Self { name, algorithm, signs: signs.expect("a key") }
    }

    /// The file with the public half.
    pub fn file(&self) -> PathBuf {
        folder().join(format!("{}.pub.pem", self.name))
    }

    /// The public half, as PEM.
    pub fn public(&self) -> Vec<u8> {
        fs::read(self.file()).expect("a public key")
    }

    /// The public half, as DER.
    pub fn der(&self) -> Vec<u8> {
        let pem = String::from_utf8(self.public()).expect("PEM");
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(base64).expect("base64")
    }

    /// A valid token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.signed(&json!({ "alg": format!("{:?}", self.algorithm), "typ": "JWT" }), claims)
    }

    /// A token with this head and this pair's signature.
    pub fn signed(&self, head: &Value, claims: &Value) -> String {
        token(head, claims, &self.signs, self.algorithm)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys")
}

/// A token with this head, signed with this key and algorithm, whatever the head says.
pub fn token(head: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", part(head), part(claims));
    let signature = sign(message.as_bytes(), key, algorithm).expect("a signature");
    format!("{message}.{signature}")
}

/// A token without a signature.
pub fn unsigned(head: &Value, claims: &Value) -> String {
    format!("{}.{}.", part(head), part(claims))
}

/// JSON as a part of a token.
pub fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// This many seconds from now, as a Unix time.
pub fn time(from_now: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    i64::try_from(now).expect("a time") + from_now
}

/// Claims for this subject that are valid for some minutes.
pub fn claims(sub: &str) -> Value {
    json!({ "sub": sub, "exp": time(300) })
}

/// The claims with others over them; `null` removes one.
pub fn with(claims: &Value, others: &Value) -> Value {
    let mut claims = claims.clone();
    let all = claims.as_object_mut().expect("claims");
    for (name, value) in others.as_object().expect("claims") {
        if value.is_null() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    claims
}
