//! What is wrong with a setting of the keys of tokens.

use std::io;
use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use thiserror::Error;

use crate::config::tokens;
use crate::config::weakness::Weakness;

/// What is wrong with a setting of the keys of tokens. Never contains any of a key.
#[derive(Debug, Error)]
pub(crate) enum KeyProblem {
    /// There are a key and a JWKS.
    #[error("expected without {}", tokens::KEY)]
    KeyAndKeySet,
    /// A key has no algorithm.
    #[error("expected, since there is a key")]
    KeyWithoutAlgorithm,
    /// There are a JWKS and an algorithm.
    #[error("expected none: the keys of a JWKS have theirs")]
    KeySetWithAlgorithm,
    /// An algorithm has no key.
    #[error("expected a key to it: set --token-key-file")]
    AlgorithmWithoutKey,
    /// An audience or an issuer has no key.
    #[error("expected a key, since --token-audience or --token-issuer is set")]
    ClaimsWithoutKey,
    /// A public key of another algorithm is not a secret.
    #[error("expected a secret for HS256, not a key as PEM")]
    PemAsSecret,
    /// The secret of HS256 can be guessed.
    #[error(transparent)]
    Weak(#[from] Weakness),
    /// The key is no public key as PEM.
    #[error("expected a public key as PEM (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    /// The public key cannot be read as one for this algorithm.
    #[error("expected a public key for {0:?}")]
    NotPublicKey(Algorithm),
    /// The key does not verify by this algorithm.
    #[error("expected a key for {0:?}")]
    WrongAlgorithm(Algorithm),
    /// The modulus of an RSA key is too short (RFC 7518, section 3.3).
    #[error("expected an RSA key of at least 2048 bits")]
    ShortRsa,
    /// The file of the JWKS cannot be read.
    #[error("could not read `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The file is no JWKS.
    #[error("expected a JWKS")]
    NotKeySet(#[source] serde_json::Error),
    /// Two keys of the JWKS have one `kid`.
    #[error("`kid`: expected another one for each key")]
    DuplicateId,
    /// No key of the JWKS is for a supported algorithm.
    #[error("expected at least one key for RS256, ES256 or EdDSA")]
    NoKey,
    /// A key of the JWKS is secret.
    #[error("expected public keys, got a secret (oct)")]
    SecretInKeySet,
    /// A number of a key in the JWKS cannot be decoded.
    #[error("expected keys in base64url")]
    NotBase64(#[source] jsonwebtoken::errors::Error),
}
