//! Credentials: how a worker and those whom it serves know each other.

use std::io;
use std::path::Path;

use flowc_flight::{Identity, SERVER_NAME};
use flowc_platform::PrivateFile;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

/// What a file of credentials holds: all that it takes to be served by a worker. Whoever has it can use the worker.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// Where the worker listens: `10.0.0.2:7000`.
    pub address: String,
    /// What a client shows, and how it knows the worker.
    #[serde(flatten)]
    pub identity: Identity,
}

impl Credentials {
    /// Reads a file.
    ///
    /// # Errors
    /// In words, if there is none, or something else.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| {
            let path = path.display();
            format!(
                "the credentials of a worker can't be read: {path}: {error}; `flowc worker` writes them while it runs"
            )
        })?;
        // What it holds is not shown.
        let wrong = |_| format!("{} does not hold what `flowc worker` writes", path.display());
        serde_json::from_slice(&bytes).map_err(wrong)
    }

    /// Writes a file, which goes when the worker does: without it they are of no use to anybody.
    pub(crate) fn write(&self, path: &Path) -> io::Result<PrivateFile> {
        PrivateFile::write(path, serde_json::to_vec_pretty(self)?)
    }
}

/// What the two sides show each other. They fit each other, and nothing that was ever made before.
pub(crate) struct Pair {
    pub(crate) server: Identity,
    pub(crate) client: Identity,
}

impl Pair {
    /// A new authority signs both, and is forgotten: nobody can make a third.
    pub(crate) fn make() -> Result<Self, rcgen::Error> {
        let mut authority = named("flowc worker's authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let identity = |usage| {
            let mut side = named(SERVER_NAME);
            side.subject_alt_names = vec![rcgen::SanType::DnsName(SERVER_NAME.try_into()?)];
            side.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            side.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            let certificate = side.signed_by(&key, &authority)?.pem();
            Ok::<_, rcgen::Error>(Identity { authority: authority.pem(), certificate, key: key.serialize_pem() })
        };
        Ok(Self {
            server: identity(ExtendedKeyUsagePurpose::ServerAuth)?,
            client: identity(ExtendedKeyUsagePurpose::ClientAuth)?,
        })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
