//! How connections between hosts are secured: TLS, with a certificate on both sides.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, ClientTlsConfig, ServerTlsConfig};

/// The name in a server's certificate. It is no host's, so that any address can lead to the server.
pub const SERVER_NAME: &str = "flowc-worker";

/// How long the other side may take to show who it is.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a silent connection is asked whether the other side is still there.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
pub(crate) const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(20);

/// What one side shows, and whom it believes; all of it as PEM. It holds a private key, so it is never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The certificate of the authority that signed the other side's.
    pub authority: String,
    /// This side's certificate.
    pub certificate: String,
    /// The key to it.
    pub key: String,
}

impl Identity {
    /// As a client shows it.
    pub(crate) fn client(&self) -> ClientTlsConfig {
        let tls = ClientTlsConfig::new().domain_name(SERVER_NAME).timeout(HANDSHAKE);
        tls.ca_certificate(Certificate::from_pem(&self.authority)).identity(self.own())
    }

    /// As a server shows it, which talks with nobody who has no certificate.
    pub(crate) fn server(&self) -> ServerTlsConfig {
        let tls = ServerTlsConfig::new().timeout(HANDSHAKE).client_auth_optional(false);
        tls.client_ca_root(Certificate::from_pem(&self.authority)).identity(self.own())
    }

    fn own(&self) -> tonic::transport::Identity {
        tonic::transport::Identity::from_pem(&self.certificate, &self.key)
    }
}
