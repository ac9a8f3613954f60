//! The settings of TLS to Redis.

use std::path::{Path, PathBuf};

use clap::Args;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::config::parsers::{file, server_name};
use crate::config::redis_setting_error::RedisSettingError;
use crate::config::redis_tls::{RedisTls, system_authorities};
use crate::config::setting::Setting;

const CA: Setting = Setting("--redis-ca");
const CERT: Setting = Setting("--redis-cert");
const KEY: Setting = Setting("--redis-key");
const NAME: Setting = Setting("--redis-tls-name");

/// The settings of TLS to Redis.
#[derive(Clone, Debug, Args)]
#[group(skip)]
#[expect(clippy::struct_field_names, reason = "the flags have the names of the fields")]
pub(crate) struct RedisTlsSettings {
    /// File with the certificates (PEM) of the authorities that Redis' certificate may be of,
    /// instead of those that this system trusts; for a URL with rediss://
    #[arg(long, value_name = "FILE", global = true, value_parser = file)]
    redis_ca: Option<PathBuf>,

    /// File with the certificate (PEM) that this node shows to Redis, with those between it and its
    /// authority
    #[arg(long, value_name = "FILE", global = true, value_parser = file)]
    redis_cert: Option<PathBuf>,

    /// File with the key (PEM) of --redis-cert
    #[arg(long, value_name = "FILE", global = true, value_parser = file)]
    redis_key: Option<PathBuf>,

    /// Name that Redis' certificate must have, instead of the host in the URL, or of the host that
    /// a Sentinel or a Cluster names
    #[arg(long, value_name = "NAME", global = true, value_parser = server_name)]
    redis_tls_name: Option<ServerName<'static>>,
}

impl RedisTlsSettings {
    /// Returns a setting that is set.
    pub(crate) fn first_set(&self) -> Option<Setting> {
        let files = [(CA, &self.redis_ca), (CERT, &self.redis_cert), (KEY, &self.redis_key)];
        let file = files.into_iter().find(|(_, path)| path.is_some()).map(|(setting, _)| setting);
        file.or_else(|| self.redis_tls_name.as_ref().map(|_| NAME))
    }

    /// Reads the files.
    ///
    /// # Errors
    /// Returns [`RedisSettingError`] for a file of another kind, and for half of a client
    /// certificate.
    pub(crate) fn read(&self) -> Result<RedisTls, RedisSettingError> {
        let certificate = match (&self.redis_cert, &self.redis_key) {
            (None, None) => None,
            (Some(_), None) => return Err(RedisSettingError::Alone(CERT, KEY)),
            (None, Some(_)) => return Err(RedisSettingError::Alone(KEY, CERT)),
            (Some(cert), Some(path)) => {
                let key = PrivateKeyDer::from_pem_slice(&bytes(KEY, path)?);
                let key = key.map_err(|_| RedisSettingError::NotPem {
                    setting: KEY,
                    path: path.clone(),
                    expected: "key",
                })?;
                Some((certificates(CERT, cert)?, key))
            }
        };
        RedisTls::new(self.authorities()?, certificate, self.redis_tls_name.clone())
            .map_err(|cause| RedisSettingError::Certificate { setting: CERT, cause })
    }

    /// Returns the authorities of the file, or of this system.
    fn authorities(&self) -> Result<RootCertStore, RedisSettingError> {
        let Some(path) = &self.redis_ca else {
            let authorities = system_authorities();
            let is_empty = authorities.is_empty();
            return if is_empty { Err(RedisSettingError::NoAuthorities(CA)) } else { Ok(authorities) };
        };
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(CA, path)? {
            let added = authorities.add(certificate);
            added.map_err(|cause| RedisSettingError::Certificate { setting: CA, cause })?;
        }
        Ok(authorities)
    }
}

/// Reads certificates, at least one.
fn certificates(setting: Setting, path: &Path) -> Result<Vec<CertificateDer<'static>>, RedisSettingError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(setting, path)?).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| RedisSettingError::NotPem { setting, path: path.to_owned(), expected: "certificate" })
}

fn bytes(setting: Setting, path: &Path) -> Result<Vec<u8>, RedisSettingError> {
    let read = std::fs::read(path);
    read.map_err(|cause| RedisSettingError::Unreadable { setting, path: path.to_owned(), cause })
}
