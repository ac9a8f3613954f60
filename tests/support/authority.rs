//! An authority of a test, with its certificates as files.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        let authority =
            Self { issuer: issuer.expect("a certificate"), folder: tempfile::tempdir().expect("a folder") };
        fs::write(authority.file(), authority.issuer.pem()).expect("a file");
        authority
    }

    /// The file with its own certificate.
    pub fn file(&self) -> String {
        path(self.folder.path().join("ca.pem"))
    }

    /// Its own certificate, as if it were that of a server.
    pub fn own(&self) -> Certificate {
        let key_file = self.folder.path().join("ca.key.pem");
        fs::write(&key_file, self.issuer.key().serialize_pem()).expect("a file");
        Certificate { cert: self.file(), key: path(key_file) }
    }

    /// A certificate for these names and addresses, valid for a long time.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.issue_for(2020..2100, names)
    }

    /// A certificate that is valid from the beginning of a year to that of another.
    pub fn issue_for(&self, years: Range<i32>, names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let file = self.folder.path().join(format!("{}-{}", names.join("-"), years.end));
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (cert_file, key_file) = (file.with_extension("cert.pem"), file.with_extension("key.pem"));
        fs::write(&cert_file, cert.pem()).expect("a file");
        fs::write(&key_file, key.serialize_pem()).expect("a file");
        Certificate { cert: path(cert_file), key: path(key_file) }
    }
}

fn path(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("UTF-8")
}
