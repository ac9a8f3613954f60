//! Why the settings of Redis are not usable.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::config::secret_error::SecretError;
use crate::config::setting::Setting;

/// Why the settings of Redis are not usable.
#[derive(Debug, Error)]
pub(crate) enum RedisSettingError {
    /// A password cannot be read.
    #[error(transparent)]
    Password(#[from] SecretError),
    /// There is a password of Sentinels, and there are none.
    #[error("{0}: expected a URL with Sentinels, as redis+sentinel://host:port/name")]
    NoSentinels(String),
    /// There is a setting of TLS, and the URL is one without.
    #[error("{0}: expected a URL with TLS, as rediss://host:port, in REDIS_URL (--redis-url)")]
    NoTls(Setting),
    /// A file cannot be read.
    #[error("{setting}: could not read `{}`", path.display())]
    Unreadable {
        setting: Setting,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// A file is of another kind.
    #[error("{setting}: expected a {expected} in PEM in `{}`", path.display())]
    NotPem { setting: Setting, path: PathBuf, expected: &'static str },
    /// A certificate is none, or not that of the key.
    #[error("{setting}: the certificate is not usable")]
    Certificate {
        setting: Setting,
        #[source]
        cause: rustls::Error,
    },
    /// Half of a client certificate.
    #[error("{0}: expected {1} as well")]
    Alone(Setting, Setting),
    /// This system has no file with authorities.
    #[error("{0}: expected a file, since this system has no certificates of authorities")]
    NoAuthorities(Setting),
}
