//! Why there is no server.

use std::io;
use std::path::PathBuf;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It can't listen there.
    #[error(
        "it can't listen at {address}: {source}; write HOST:PORT with an address of this host, and port 0 for any that is free"
    )]
    Listen {
        /// Where it was to listen.
        address: String,
        /// What happened.
        source: io::Error,
    },
    /// Others could ask without a token.
    #[error("{0} is reached from other hosts, so a token is asked for: give --tokens, and leave out --no-auth")]
    Open(String),
    /// A file of the certificate can't be read.
    #[error("{}: {source}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No certificate can be made.
    #[error("no certificate can be made for this address: {0}; give one with --tls-cert and --tls-key")]
    Certificate(rcgen::Error),
    /// The certificate can't be used.
    #[error("the certificate and its key can't be used: {0}; both are PEM, and belong together")]
    Tls(String),
    /// It does not listen any more.
    #[error("it can't serve any more: {0}")]
    Serve(io::Error),
}
