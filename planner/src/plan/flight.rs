//! Which rows of a server of Arrow Flight a source reads.

use serde::{Deserialize, Serialize};

use super::Keep;
use crate::secret::SecretSource;

/// What a server gives, and how it is reached. What a token is, is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightSource {
    /// `grpc://host:port`, or `grpc+tls://host:port`.
    pub server: String,
    /// What it is asked for.
    pub ask: FlightAsk,
    /// The name of the secret with the token, and where its value is.
    pub token: Option<(String, SecretSource)>,
    /// A file of certificates that the server is trusted by, in place of those of the system: relative to the pipeline's folder
    /// unless absolute.
    pub ca: Option<String>,
    /// How long what was read stands.
    pub keep: Keep,
}

/// What a server is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlightAsk {
    /// The stream of a ticket.
    Ticket(String),
    /// The flight of a descriptor that is a path.
    Path(Vec<String>),
    /// The flight of a descriptor that is a command.
    Command(String),
    /// What a statement gives, by Flight SQL.
    Sql(String),
}

impl std::fmt::Display for FlightAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ticket(ticket) => write!(f, "ticket {ticket}"),
            Self::Path(path) => write!(f, "path {}", path.join("/")),
            Self::Command(command) => write!(f, "command {command}"),
            Self::Sql(statement) => write!(f, "sql {statement}"),
        }
    }
}
