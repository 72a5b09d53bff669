//! TLS: a certificate that somebody has, or one that is made.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use sha2::{Digest, Sha256};
use tonic::transport::{Identity, ServerTlsConfig};

use crate::error::ServeError;

/// How connections are secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// By a certificate that is made for the address, where others reach it; not at all where none but this machine does.
    #[default]
    ByAddress,
    /// By a certificate that is made for the address.
    Made,
    /// By a certificate of files, with those that lead to one that clients trust, and its key; both are PEM.
    Files {
        /// The certificates.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

/// A certificate, and its key. It is never printed.
pub struct Tls {
    /// As PEM.
    pub certificate: String,
    /// SHA-256 of the certificate, in hex; none of a certificate that was given.
    pub fingerprint: Option<String>,
    key: String,
}

impl Security {
    /// What a server at this host needs; none where it needs nothing.
    pub(crate) fn of(&self, host: &str, is_loopback: bool) -> Result<Option<Tls>, ServeError> {
        match self {
            Self::ByAddress if is_loopback => Ok(None),
            Self::ByAddress | Self::Made => Tls::make(host).map(Some).map_err(ServeError::Certificate),
            Self::Files { certificate, key } => Tls::read(certificate, key).map(Some),
        }
    }
}

impl Tls {
    fn read(certificate: &Path, key: &Path) -> Result<Self, ServeError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| ServeError::Pem { path: path.to_owned(), source })
        };
        Ok(Self { certificate: read(certificate)?, fingerprint: None, key: read(key)? })
    }

    fn make(host: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "flowc serve");
        let host = host.trim_start_matches('[').trim_end_matches(']');
        params.subject_alt_names = vec![match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.try_into()?),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let digest = Sha256::digest(certificate.der());
        let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { certificate: certificate.pem(), fingerprint: Some(fingerprint), key: key.serialize_pem() })
    }

    pub(crate) fn config(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(Identity::from_pem(&self.certificate, &self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_served_without_tls() {
        let made = |security: &Security, loopback| security.of("localhost", loopback).unwrap();
        assert!(made(&Security::ByAddress, true).is_none());
        let tls = made(&Security::ByAddress, false).unwrap();
        assert!(tls.certificate.starts_with("-----BEGIN CERTIFICATE") && tls.fingerprint.unwrap().len() == 64);
        assert!(made(&Security::Made, true).is_some());
        for host in ["10.0.0.2", "[::1]", "build7.example"] {
            assert!(Security::Made.of(host, false).unwrap().is_some(), "{host}");
        }
    }
}
