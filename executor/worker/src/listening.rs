//! A worker that listens.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_flight::Identity;
use flowc_flight::serve::serve_secured;
use flowc_platform::PrivateFile;
use flowc_wasm::WasmError;

use crate::Credentials;
use crate::components::Components;
use crate::credentials::Pair;

/// A worker that listens. Dropping it removes its credentials.
pub struct Worker {
    listener: TcpListener,
    address: String,
    identity: Identity,
    components: Components,
    _credentials: PrivateFile,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
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
    /// The address would be of no use to others.
    #[error("{0} is all addresses of this host: name the one by which others reach it, since their credentials say it")]
    Unspecified(String),
    /// The credentials can't be made.
    #[error("no certificates can be made: {0}")]
    Certificates(#[from] rcgen::Error),
    /// The credentials can't be written.
    #[error("the credentials can't be written to {}: {source}", .path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Nothing can be executed here.
    #[error(transparent)]
    Engine(#[from] WasmError),
    /// It does not listen any more.
    #[error("it can't serve any more: {0}")]
    Serve(io::Error),
}

impl Worker {
    /// Listens at an address, `HOST:PORT`, and writes the credentials that its clients need.
    ///
    /// # Errors
    /// If it can't.
    pub fn listen(address: &str, credentials: &Path) -> Result<Self, WorkerError> {
        let failed = |source| WorkerError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if bound.ip().is_unspecified() {
            return Err(WorkerError::Unspecified(address.to_owned()));
        }
        // The host as it was named, which may be a name; the port as it is.
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let address = format!("{host}:{}", bound.port());
        let Pair { server, client } = Pair::make()?;
        let components = Components::new()?;
        let failed = |source| WorkerError::Credentials { path: credentials.to_owned(), source };
        let written = Credentials { address: address.clone(), identity: client };
        let file = written.write(credentials).map_err(failed)?;
        Ok(Self { listener, address, identity: server, components, _credentials: file })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Executes components for its clients, until something has happened.
    ///
    /// # Errors
    /// If it can't any more.
    pub fn serve(self, until: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let Self { listener, identity, components, _credentials, .. } = self;
        serve_secured(Arc::new(components), listener, &identity, until).map_err(WorkerError::Serve)
    }
}
