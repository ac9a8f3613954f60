//! The settings of tokens: keys, algorithm, audience and issuer.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::config::parsers::file;
use crate::config::secret::{Secret, Source};
use crate::config::secret_error::SecretError;

/// The sources of the key.
pub(crate) const KEY: Source = Source { flag: "--token-key-file" };

/// The algorithm of a token's signature (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256.
    #[value(name = "HS256")]
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[value(name = "RS256")]
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    #[value(name = "ES256")]
    Es256,
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
}

/// The settings of tokens.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Tokens (JWT) of other sites' users")]
#[group(skip)]
pub struct Tokens {
    /// File with the key that verifies tokens: a public key in PEM, or for HS256 a secret of at
    /// least 32 bytes; can also be set in {NAME}_TOKEN_KEY
    #[arg(long, value_name = "FILE", value_parser = file)]
    token_key_file: Option<PathBuf>,

    /// Signature algorithm of tokens: HS256, RS256, ES256 or EdDSA
    #[arg(long, value_name = "ALGORITHM", hide_possible_values = true)]
    token_algorithm: Option<TokenAlgorithm>,

    /// File with public keys as a JWKS, instead of --token-key-file; a token's `kid` selects one
    #[arg(long, value_name = "FILE", value_parser = file)]
    token_jwks_file: Option<PathBuf>,

    /// Required `aud` of tokens; without it, tokens with an `aud` are rejected
    #[arg(long, value_name = "TEXT")]
    token_audience: Option<String>,

    /// Required `iss` of tokens
    #[arg(long, value_name = "TEXT")]
    token_issuer: Option<String>,

    /// Accept tokens without `exp`, and an HS256 secret of any length: a token that leaks is valid
    /// until the key changes, and a short secret can be guessed from one token
    #[arg(long = "weak-tokens")]
    are_weak: bool,

    #[arg(skip)]
    key: Option<Secret>,
}

impl Tokens {
    /// Reads the key.
    ///
    /// # Errors
    /// Returns [`SecretError`] for a file that cannot be read.
    pub(crate) fn read_secret(&mut self) -> Result<(), SecretError> {
        self.key = KEY.read(self.token_key_file.as_deref())?;
        for text in [&mut self.token_audience, &mut self.token_issuer] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        Ok(())
    }

    /// Returns the key, which is secret for HS256.
    pub fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// Returns the algorithm of the key.
    pub fn algorithm(&self) -> Option<TokenAlgorithm> {
        self.token_algorithm
    }

    /// Returns the JWKS file.
    pub fn jwks_file(&self) -> Option<&Path> {
        self.token_jwks_file.as_deref()
    }

    /// Returns the required `aud`.
    pub fn audience(&self) -> Option<&str> {
        self.token_audience.as_deref()
    }

    /// Returns whether tokens may lack `exp`, and secrets may be short.
    pub fn are_weak(&self) -> bool {
        self.are_weak
    }

    /// Returns the required `iss`.
    pub fn issuer(&self) -> Option<&str> {
        self.token_issuer.as_deref()
    }
}
