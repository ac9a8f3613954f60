//! A Redis that speaks TLS on a port of its own, beside the one without for the test.

use super::authority::{Authority, Certificate};
use super::node::{Node, Plan};
use super::redis::Redis;
use super::reserved_port::ReservedPort;

pub struct TlsRedis {
    pub redis: Redis,
    pub port: ReservedPort,
    pub authority: Authority,
}

impl TlsRedis {
    /// Starts a Redis with a certificate for `localhost` and 127.0.0.1.
    pub async fn start() -> Self {
        let authority = Authority::new("the test's");
        let certificate = authority.issue(&["localhost", "127.0.0.1"]);
        Self::with(authority, &certificate, &[]).await
    }

    /// Starts a Redis with this certificate, and these settings.
    pub async fn with(authority: Authority, certificate: &Certificate, settings: &[&str]) -> Self {
        let port = ReservedPort::reserve();
        let redis = redis_with(&settings_of(&authority, certificate, &port), settings).await;
        Self { redis, port, authority }
    }

    /// Its URL, with this host or address in it.
    pub fn url(&self, host: &str) -> String {
        format!("rediss://{host}:{}", self.port.number())
    }

    /// A node on it that trusts its authority.
    pub fn plan(&self) -> Plan {
        let plan = Node::plan().env("REDIS_URL", &self.url("127.0.0.1"));
        plan.env("PARLOR_REDIS_CA", &self.authority.file())
    }

    /// Shows clients another certificate from now on, and ends the connections that there are.
    pub async fn change_certificate(&self, certificate: &Certificate) {
        let Certificate { cert, key } = certificate;
        let set = ["CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key];
        self.redis.query::<String>(&set).await;
        self.redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        self.redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    }
}

/// The settings, each with its value, of a Redis or a Sentinel that speaks TLS on this port, to
/// others of its kind as well. It asks clients for no certificate.
pub fn settings_of(
    authority: &Authority,
    certificate: &Certificate,
    port: &ReservedPort,
) -> [(&'static str, String); 6] {
    [
        ("tls-port", port.number().to_string()),
        ("tls-cert-file", certificate.cert.clone()),
        ("tls-key-file", certificate.key.clone()),
        ("tls-ca-cert-file", authority.file()),
        ("tls-auth-clients", "no".to_owned()),
        ("tls-replication", "yes".to_owned()),
    ]
}

/// Starts a Redis with these settings of TLS, and others.
pub async fn redis_with(tls: &[(&str, String)], settings: &[&str]) -> Redis {
    let mut words: Vec<String> =
        tls.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect();
    words.extend(settings.iter().map(|&setting| setting.to_owned()));
    Redis::with(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
}
