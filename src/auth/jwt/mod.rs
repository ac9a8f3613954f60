//! Tokens: JSON Web Tokens of other sites' users (RFC 7519), checked with keys that the operator gave.
//!
//! The key says by which algorithm it is used, never the token: who could choose would sign with `none`, or by HMAC with
//! the public key that everybody knows (RFC 8725, sections 2.1 and 3.1).

mod key;

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde::Deserialize;

use crate::auth::jwt::key::{Key, Keys};
use crate::config::tokens::Tokens;
use crate::wire::error::StartError;

/// Longest token.
const LENGTH: usize = 8 * 1024;
/// By so many seconds clocks may differ.
const LEEWAY: u64 = 5;
/// The last second of the year 9999: times beyond it are as good as this one, and can be reckoned with.
const LATEST: u64 = 253_402_300_799;

/// Who checks tokens.
pub(crate) struct Verifier {
    keys: Keys,
    audience: Option<String>,
    issuer: Option<String>,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The user, as the other site knows it; not empty.
    pub(crate) sub: String,
    /// When the token ends, in seconds since 1970.
    pub(crate) exp: u64,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It is no token, or too long.
    Malformed,
    /// It is signed by another algorithm than that of its key.
    Algorithm,
    /// It names no key that there is, or several would fit.
    Key,
    /// It is not signed by its key.
    Signature,
    /// It has ended, or does not say when.
    Expired,
    /// Its time has not come.
    Early,
    /// It is for somebody else.
    Audience,
    /// It is somebody else's.
    Issuer,
    /// `sub` is no name, or a time is none.
    Claims,
}

#[derive(Deserialize)]
struct Payload {
    sub: String,
    exp: serde_json::Number,
    #[serde(default)]
    aud: serde_json::Value,
}

impl Verifier {
    /// Who checks tokens by these settings; `None` if they have no key.
    ///
    /// # Errors
    /// [`StartError`] for keys that are none, or weak, or do not fit.
    pub(crate) fn new(settings: &Tokens) -> Result<Option<Self>, StartError> {
        let Some(keys) = Keys::read(settings).map_err(StartError::new)? else { return Ok(None) };
        let [audience, issuer] = [settings.audience(), settings.issuer()].map(|text| text.map(str::to_owned));
        Ok(Some(Self { keys, audience, issuer }))
    }

    /// What a token says, if it can be believed now.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn verify(&self, jwt: &str) -> Result<Claims, TokenError> {
        if jwt.len() > LENGTH {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(jwt).map_err(|_| TokenError::Malformed)?;
        let key = self.key(&header)?;
        let payload = decode::<Payload>(jwt, key.material(), &self.validation(key))?.claims;
        // The library looks at the type of an audience only when it expects one.
        if self.audience.is_none() && !payload.aud.is_null() {
            return Err(TokenError::Audience);
        }
        if payload.sub.is_empty() {
            return Err(TokenError::Claims);
        }
        let fraction = || Duration::try_from_secs_f64(payload.exp.as_f64()?).ok().map(|time| time.as_secs());
        let exp = payload.exp.as_u64().or_else(fraction).ok_or(TokenError::Claims)?.min(LATEST);
        Ok(Claims { sub: payload.sub, exp })
    }

    fn key(&self, header: &Header) -> Result<&Key, TokenError> {
        // What is critical must be understood (RFC 7515, section 4.1.11), and nothing of it is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let key = self.keys.pick(header.kid.as_deref(), header.alg).ok_or(TokenError::Key)?;
        if key.algorithm() == header.alg { Ok(key) } else { Err(TokenError::Algorithm) }
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm());
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
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
                _ => Self::Expired,
            },
            ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => Self::Claims,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "expected a JSON Web Token",
            Self::Algorithm => "`alg`: expected the algorithm of the key",
            Self::Key => "`kid`: expected the id of a known key",
            Self::Signature => "the signature is wrong",
            Self::Expired => "`exp`: expected a time to come",
            Self::Early => "`nbf`: expected a time that has come",
            Self::Audience => "`aud`: expected this server",
            Self::Issuer => "`iss`: expected another issuer",
            Self::Claims => "`sub`, `exp` or `nbf`: expected a name and times",
        })
    }
}

#[cfg(test)]
mod tests;
