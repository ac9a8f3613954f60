//! JSON Web Tokens of other sites' users (RFC 7519), verified with the operator's keys.
//!
//! The key determines the algorithm, never the token: an attacker would choose `none`, or HMAC with
//! the public key as its secret (RFC 8725, sections 2.1 and 3.1).

mod key;
pub(crate) mod key_error;
mod key_problem;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::auth::jwt::key::{Key, Keys};
use crate::auth::jwt::key_error::KeyError;
use crate::config::tokens::Tokens;
use crate::wire::info::{InfoError, info};

/// The maximum length of a token, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The clock skew that is tolerated, in seconds.
const LEEWAY_SECONDS: u64 = 5;
/// The maximum length of `sub`, in bytes.
const MAX_SUB_BYTES: usize = 255;
/// The last second of the year 9999. Later times are reduced to it, which keeps arithmetic safe.
const MAX_TIME_SECONDS: u64 = 253_402_300_799;

/// Verifies tokens.
pub(crate) struct Verifier {
    keys: Keys,
    audience: Option<String>,
    issuer: Option<String>,
    /// Tokens need no `exp`.
    are_weak: bool,
}

/// The claims of a valid token for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelClaims {
    /// The user's id on the other site.
    pub(crate) sub: String,
    /// The channel, as its clients name it.
    pub(crate) channel: String,
    /// What other clients learn of the subscription, JSON.
    pub(crate) info: Option<Arc<str>>,
    /// The expiration time, in seconds since 1970.
    pub(crate) exp: Option<u64>,
}

/// The claims of a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The user's id on the other site: any text of 1 to 255 bytes.
    pub(crate) sub: String,
    /// The site; empty without `iss`.
    pub(crate) iss: String,
    /// What the user is called: `name`, else `preferred_username`.
    pub(crate) name: Option<String>,
    /// The channels that the server joins for the user.
    pub(crate) channels: BTreeSet<String>,
    /// What other clients learn of the connection, JSON.
    pub(crate) info: Option<Arc<str>>,
    /// The expiration time, in seconds since 1970.
    pub(crate) exp: Option<u64>,
}

/// Why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum TokenError {
    /// The text is not a token, or too long.
    #[error("expected a JSON Web Token")]
    Malformed,
    /// The signature's algorithm is not that of the key.
    #[error("`alg`: expected the algorithm of the key")]
    Algorithm,
    /// The token names an unknown key, or several keys fit.
    #[error("`kid`: expected the id of a known key")]
    Key,
    /// The signature is invalid.
    #[error("the signature is wrong")]
    Signature,
    /// The token has expired.
    #[error("`exp`: expected a time to come")]
    Expired,
    /// The token lacks `exp`.
    #[error("`exp`: expected one, unless weak tokens are allowed")]
    Endless,
    /// The token is not valid yet.
    #[error("`nbf`: expected a time that has come")]
    Early,
    /// `aud` names another audience.
    #[error("`aud`: expected this server")]
    Audience,
    /// `iss` names another issuer.
    #[error("`iss`: expected another issuer")]
    Issuer,
    /// `sub` is empty or too long.
    #[error("`sub`: expected a text of 1 to 255 bytes")]
    Subject,
    /// It is for one channel and identifies no client, or the other way round.
    #[error("`channel`: expected a token of the other kind")]
    Kind,
    /// The info is too long, or in base64 and no JSON.
    #[error("`info`: {0}")]
    Info(#[from] InfoError),
    /// A claim has another type.
    #[error(
        "expected `sub` and `channel` to be texts, `exp` and `nbf` times, `channels` texts, and `subs` \
             empty objects"
    )]
    Claims,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    sub: String,
    exp: Option<serde_json::Number>,
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    preferred_username: Value,
    channel: Option<String>,
    #[serde(default)]
    channels: BTreeSet<String>,
    #[serde(default)]
    subs: BTreeMap<String, serde_json::Map<String, Value>>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
}

impl Payload {
    fn info(&self) -> Result<Option<Arc<str>>, InfoError> {
        info(self.info.as_deref(), self.b64info.as_deref())
    }
}

impl Verifier {
    /// Creates a verifier; `None` if the settings have no key.
    ///
    /// # Errors
    /// Returns [`KeyError`] for keys that are invalid, weak, or of another algorithm.
    pub(crate) fn new(settings: &Tokens) -> Result<Option<Self>, KeyError> {
        let Some(keys) = Keys::read(settings)? else { return Ok(None) };
        let [audience, issuer] = [settings.audience(), settings.issuer()].map(|text| text.map(str::to_owned));
        Ok(Some(Self { keys, audience, issuer, are_weak: settings.are_weak() }))
    }

    /// Returns the issuer that tokens must have.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns the claims of a token that is valid now.
    ///
    /// # Errors
    /// Returns [`TokenError`] otherwise.
    pub(crate) fn verify(&self, jwt: &str) -> Result<Claims, TokenError> {
        let (payload, exp) = self.payload(jwt)?;
        if payload.channel.is_some() {
            return Err(TokenError::Kind);
        }
        if !(1..=MAX_SUB_BYTES).contains(&payload.sub.len()) {
            return Err(TokenError::Subject);
        }
        let info = payload.info()?;
        let iss = match payload.iss {
            Value::Null => String::new(),
            Value::String(iss) => iss,
            _ => return Err(TokenError::Issuer),
        };
        let name = [payload.name, payload.preferred_username].into_iter().find_map(|name| match name {
            Value::String(name) if !name.is_empty() => Some(name),
            _ => None,
        });
        // Options of a channel that are not applied would give what the token withholds.
        if payload.subs.values().any(|options| !options.is_empty()) {
            return Err(TokenError::Claims);
        }
        let channels = payload.channels.into_iter().chain(payload.subs.into_keys()).collect();
        Ok(Claims { sub: payload.sub, iss, name, channels, info, exp })
    }

    /// Returns the claims of a token for one channel that is valid now.
    ///
    /// # Errors
    /// Returns [`TokenError`] otherwise.
    pub(crate) fn verify_for_channel(&self, jwt: &str) -> Result<ChannelClaims, TokenError> {
        let (payload, exp) = self.payload(jwt)?;
        let info = payload.info()?;
        let channel = payload.channel.ok_or(TokenError::Kind)?;
        Ok(ChannelClaims { sub: payload.sub, channel, info, exp })
    }

    /// Returns the claims of a token that is valid now, and its expiration time.
    fn payload(&self, jwt: &str) -> Result<(Payload, Option<u64>), TokenError> {
        if jwt.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(jwt).map_err(|_| TokenError::Malformed)?;
        let key = self.key(&header)?;
        let payload = decode::<Payload>(jwt, key.material(), &self.validation(key))?.claims;
        // The library checks the type of `aud` only when an audience is expected.
        if self.audience.is_none() && !payload.aud.is_null() {
            return Err(TokenError::Audience);
        }
        let Some(exp) = &payload.exp else { return Ok((payload, None)) };
        let fraction = || Duration::try_from_secs_f64(exp.as_f64()?).ok().map(|time| time.as_secs());
        let exp = exp.as_u64().or_else(fraction).ok_or(TokenError::Claims)?.min(MAX_TIME_SECONDS);
        Ok((payload, Some(exp)))
    }

    fn key(&self, header: &Header) -> Result<&Key, TokenError> {
        // Unknown critical parameters invalidate a token (RFC 7515, section 4.1.11); this verifier
        // knows none.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let key = self.keys.pick(header.kid.as_deref(), header.alg).ok_or(TokenError::Key)?;
        if key.algorithm() == header.alg { Ok(key) } else { Err(TokenError::Algorithm) }
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm());
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        if self.are_weak {
            validation.required_spec_claims.remove("exp");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        validation
    }
}

impl From<jsonwebtoken::errors::Error> for TokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::Early,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
                "aud" => Self::Audience,
                "iss" => Self::Issuer,
                _ => Self::Endless,
            },
            ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => Self::Claims,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests;
