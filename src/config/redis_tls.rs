//! TLS to Redis, as every connection speaks it.

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

/// TLS to all servers and Sentinels.
#[derive(Clone, Debug)]
pub(crate) struct RedisTls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl RedisTls {
    /// Creates TLS that trusts these authorities, shows servers this certificate, and expects them
    /// to have this name instead of the host's.
    ///
    /// # Errors
    /// Fails when the key is not that of the certificate.
    pub(crate) fn new(
        authorities: RootCertStore,
        certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        name: Option<ServerName<'static>>,
    ) -> Result<Self, rustls::Error> {
        let config = match certificate {
            Some((chain, key)) => trusting(authorities).with_client_auth_cert(chain, key)?,
            None => trusting(authorities).with_no_client_auth(),
        };
        Ok(Self { config: Arc::new(config), name })
    }

    /// Returns TLS that trusts the authorities of this system.
    pub(crate) fn of_system() -> Self {
        Self { config: Arc::new(trusting(system_authorities()).with_no_client_auth()), name: None }
    }

    /// Returns TLS that accepts no server, for the question whether one speaks it.
    pub(crate) fn trusting_none() -> Self {
        Self { config: Arc::new(trusting(RootCertStore::empty()).with_no_client_auth()), name: None }
    }

    /// Returns the configuration of the client side.
    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Returns the name that the certificate of this host must have; `None` for a host that no
    /// certificate can be of.
    pub(crate) fn name_of(&self, host: &str) -> Option<ServerName<'static>> {
        self.name.clone().or_else(|| ServerName::try_from(host.to_owned()).ok())
    }
}

/// Returns the authorities that this system trusts, without those that rustls cannot use.
pub(crate) fn system_authorities() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    authorities
}

/// Begins a configuration that trusts these authorities. The crypto provider of the process is
/// chosen here.
fn trusting(authorities: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let _ = ring::default_provider().install_default(); // it may be the second time
    ClientConfig::builder().with_root_certificates(authorities)
}
