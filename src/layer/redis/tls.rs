//! TLS on a connection to Redis, and how it fails, in words.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::redis_tls::RedisTls;
use crate::layer::redis::fault::{Fault, permanent, temporary};

/// What to do about a port without TLS.
pub(super) const SPEAKS_NO_TLS: &str = "this port speaks no TLS: begin REDIS_URL with redis instead of \
     rediss, or name the port for TLS";

/// A connection with TLS, whose errors are in words. In TLS 1.3 a server refuses a client's
/// certificate after the handshake, by an alert that the first read returns.
pub(super) struct TlsConnection(TlsStream<TcpStream>);

impl TlsConnection {
    /// Speaks TLS on a connection to this host.
    ///
    /// # Errors
    /// Returns a [`Fault`] when the certificate is not the right one, or the host speaks no TLS.
    pub(super) async fn open(tls: &RedisTls, host: &str, tcp: TcpStream) -> io::Result<Self> {
        let name = tls.name_of(host).ok_or_else(|| {
            let cause = format!("no certificate can be of the name {host}: set --redis-tls-name");
            permanent(cause).into_io(io::ErrorKind::InvalidInput)
        })?;
        let stream = TlsConnector::from(tls.config().clone()).connect(name, tcp).await;
        stream.map(Self).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                temporary("the server closed the connection in the TLS handshake: is this its port for TLS?")
                    .into_io(error.kind())
            }
            _ => in_words(error),
        })
    }
}

/// Returns whether the server on the other side of this connection speaks TLS: it then presents a
/// certificate, or refuses.
pub(super) async fn is_spoken(tcp: TcpStream) -> bool {
    let tls = RedisTls::trusting_none();
    let name = ServerName::try_from("any").expect("a host name");
    let Err(error) = TlsConnector::from(tls.config().clone()).connect(name, tcp).await else {
        return true;
    };
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_) | Error::AlertReceived(_)))
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer).map_err(in_words)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes).map_err(in_words)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context).map_err(in_words)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context).map_err(in_words)
    }
}

fn in_words(error: io::Error) -> io::Error {
    let kind = error.kind();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(inner) => explain(inner).into_io(kind),
        // A killed Redis does not end TLS.
        None if kind == io::ErrorKind::UnexpectedEof => io::Error::new(kind, "Redis closed the connection"),
        None => error,
    }
}

/// Returns what to do about an error of TLS.
fn explain(error: &Error) -> Fault {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(AlertDescription::CertificateRequired) => permanent(
            "the server requires a certificate of its clients: give one with --redis-cert and --redis-key",
        ),
        Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError),
        ) => permanent(format!(
            "the server refuses the certificate of --redis-cert: it sent the alert {alert:?}"
        )),
        // What TLS 1.2 sends in place of CertificateRequired, among others.
        Error::AlertReceived(AlertDescription::HandshakeFailure) => permanent(
            "the server refuses the TLS handshake: it requires a certificate of its clients (--redis-cert, \
             --redis-key), or another version or cipher",
        ),
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            permanent(format!("the server and this node have no version or cipher in common: {error}"))
        }
        Error::InvalidMessage(_) => permanent(SPEAKS_NO_TLS),
        other => temporary(format!("TLS failed: {other}")),
    }
}

/// Returns what is wrong with the server's certificate.
fn certificate(error: &CertificateError) -> Fault {
    let days = |seconds: u64| seconds / (24 * 60 * 60);
    match error {
        CertificateError::ExpiredContext { time, not_after } => permanent(format!(
            "the server's certificate expired {} days ago: renew it in Redis",
            days(time.as_secs().saturating_sub(not_after.as_secs()))
        )),
        // Time alone mends it.
        CertificateError::NotValidYetContext { time, not_before } => temporary(format!(
            "the server's certificate is not valid yet, for another {} days: is the clock right?",
            days(not_before.as_secs().saturating_sub(time.as_secs()))
        )),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let names = match presented.as_slice() {
                [] => "no name (subjectAltName)".to_owned(),
                names => names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", "),
            };
            permanent(format!(
                "the server's certificate is for {names}, not for {expected}: correct REDIS_URL, or set \
                 --redis-tls-name"
            ))
        }
        CertificateError::UnknownIssuer => permanent(
            "the server's certificate is of an authority that is not trusted: give that authority's with \
             --redis-ca",
        ),
        CertificateError::Other(cause) if cause.to_string() == "CaUsedAsEndEntity" => permanent(
            "the server's certificate is that of an authority (CA:TRUE): give it one that the authority \
             signed",
        ),
        CertificateError::BadSignature => permanent(
            "the server's certificate is not signed by the authority that it names, as --redis-ca has it",
        ),
        other => permanent(format!("the server's certificate is not acceptable: {other}")),
    }
}

/// Returns a name of a certificate as people write it: webpki has `DnsName("a")`, `IpAddress(…)`.
fn shown(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').to_owned()
}
