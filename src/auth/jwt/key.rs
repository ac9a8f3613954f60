//! Keys of tokens: read at start, each with its algorithm, and rejected if weak.

use std::fs;
use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use tracing::warn;

use crate::auth::jwt::key_error::KeyError;
use crate::auth::jwt::key_problem::KeyProblem;
use crate::config::secret::Secret;
use crate::config::tokens::{TokenAlgorithm, Tokens};

/// The minimum length of an RSA modulus in base64: 2048 bits (RFC 7518, section 3.3).
const MIN_RSA_MODULUS_CHARS: usize = 342;
const ED25519_KEY_BYTES: usize = 32;

/// A key with the algorithm of the signatures that it verifies.
pub(crate) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    material: DecodingKey,
}

/// The configured keys.
pub(crate) enum Keys {
    /// One key, for any `kid`.
    One(Key),
    /// The keys of a JWKS, picked by `kid`.
    Set(Vec<Key>),
}

impl Key {
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn material(&self) -> &DecodingKey {
        &self.material
    }
}

impl Keys {
    /// Reads the keys of the settings.
    ///
    /// # Errors
    /// Returns [`KeyError`] for keys that are missing, invalid, weak, or of another algorithm.
    pub(crate) fn read(settings: &Tokens) -> Result<Option<Self>, KeyError> {
        match (settings.key(), settings.jwks_file(), settings.algorithm()) {
            (Some(_), Some(_), _) => Err(KeyError::KeySet(KeyProblem::KeyAndKeySet)),
            (Some(key), None, Some(algorithm)) => {
                one(key, algorithm, settings.are_weak()).map(Some).map_err(KeyError::Key)
            }
            (Some(_), None, None) => Err(KeyError::Algorithm(KeyProblem::KeyWithoutAlgorithm)),
            (None, Some(file), None) => set(file).map(Some).map_err(KeyError::KeySet),
            (None, Some(_), Some(_)) => Err(KeyError::Algorithm(KeyProblem::KeySetWithAlgorithm)),
            (None, None, Some(_)) => Err(KeyError::Algorithm(KeyProblem::AlgorithmWithoutKey)),
            (None, None, None) if settings.audience().or(settings.issuer()).is_some() => {
                Err(KeyError::Key(KeyProblem::ClaimsWithoutKey))
            }
            (None, None, None) => Ok(None),
        }
    }

    /// Returns the key that verifies a token with this `kid` and `alg`. A `kid` is only ever
    /// compared.
    pub(crate) fn pick(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let set = match self {
            Self::One(key) => return Some(key),
            Self::Set(set) => set,
        };
        if id.is_some() {
            return set.iter().find(|key| key.id.as_deref() == id);
        }
        let mut fitting = set.iter().filter(|key| key.algorithm == algorithm);
        let key = fitting.next();
        if fitting.next().is_none() { key } else { None }
    }
}

/// Reads the single key of the settings.
fn one(key: &Secret, algorithm: TokenAlgorithm, may_be_weak: bool) -> Result<Keys, KeyProblem> {
    let bytes = key.bytes();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    if algorithm == TokenAlgorithm::Hs256 {
        if has("-----BEGIN ") {
            return Err(KeyProblem::PemAsSecret);
        }
        // At least as many bytes as the hash has (RFC 7518, section 3.2).
        return match key.weakness().filter(|_| !may_be_weak) {
            Some(weakness) => Err(weakness.into()),
            None => Ok(Keys::One(Key {
                id: None,
                algorithm: Algorithm::HS256,
                material: DecodingKey::from_secret(bytes),
            })),
        };
    }
    if !has("-----BEGIN PUBLIC KEY-----") && !has("-----BEGIN RSA PUBLIC KEY-----") {
        return Err(KeyProblem::NotPem);
    }
    let (read, algorithm) = match algorithm {
        TokenAlgorithm::Rs256 => (DecodingKey::from_rsa_pem(bytes), Algorithm::RS256),
        TokenAlgorithm::Es256 => (DecodingKey::from_ec_pem(bytes), Algorithm::ES256),
        TokenAlgorithm::EdDsa | TokenAlgorithm::Hs256 => (DecodingKey::from_ed_pem(bytes), Algorithm::EdDSA),
    };
    let material = read.map_err(|_| KeyProblem::NotPublicKey(algorithm))?;
    let key = Key { id: None, algorithm, material };
    check(&key)?;
    Ok(Keys::One(key))
}

/// Reads the usable keys of a JWKS. Others are ignored, as RFC 7517, section 5 requires.
fn set(file: &Path) -> Result<Keys, KeyProblem> {
    let text = fs::read(file).map_err(|cause| KeyProblem::Unreadable { path: file.to_owned(), cause })?;
    let set: JwkSet = serde_json::from_slice(&text).map_err(KeyProblem::NotKeySet)?;
    let mut keys: Vec<Key> = Vec::new();
    for jwk in &set.keys {
        let Some(key) = of_jwk(jwk)? else {
            warn!(
                kid = jwk.common.key_id.as_deref(),
                "a key of the JWKS is not for tokens that are read here"
            );
            continue;
        };
        check(&key)?;
        if key.id.is_some() && keys.iter().any(|other| other.id == key.id) {
            return Err(KeyProblem::DuplicateId);
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(KeyProblem::NoKey);
    }
    Ok(Keys::Set(keys))
}

fn of_jwk(jwk: &Jwk) -> Result<Option<Key>, KeyProblem> {
    let own = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => return Err(KeyProblem::SecretInKeySet),
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return Ok(None),
    };
    let said = jwk.common.key_algorithm;
    let use_ = jwk.common.public_key_use.as_ref();
    if said.is_some_and(|said| said != own.into())
        || use_.is_some_and(|use_| *use_ != PublicKeyUse::Signature)
    {
        return Ok(None);
    }
    let material = DecodingKey::from_jwk(jwk).map_err(KeyProblem::NotBase64)?;
    Ok(Some(Key { id: jwk.common.key_id.clone(), algorithm: own, material }))
}

/// Checks that the key is valid and strong.
fn check(key: &Key) -> Result<(), KeyProblem> {
    let wrong = || KeyProblem::WrongAlgorithm(key.algorithm);
    if key.algorithm == Algorithm::EdDSA
        && key.material.try_get_as_bytes().ok().map(<[u8]>::len) != Some(ED25519_KEY_BYTES)
    {
        return Err(wrong());
    }
    crypto::verify("", b"", &key.material, key.algorithm).map_err(|_| wrong())?;
    if key.algorithm == Algorithm::RS256 {
        let jwk = Jwk::from_decoding_key(&key.material, None).map_err(|_| wrong())?;
        let AlgorithmParameters::RSA(rsa) = jwk.algorithm else { return Err(wrong()) };
        if rsa.n.trim_start_matches('A').len() < MIN_RSA_MODULUS_CHARS {
            return Err(KeyProblem::ShortRsa);
        }
    }
    Ok(())
}
