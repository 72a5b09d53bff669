//! Why a flight can't be read.

use arrow_flight::error::FlightError as Decoding;
use tonic::{Code, Status};

/// Why a flight can't be read, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlightError {
    /// Nobody answers there.
    #[error(
        "it can't be reached: {0}; is the server running, and is the address right (grpc+tls:// where it is secured)?"
    )]
    Unreachable(String),
    /// The server wants a token, or another one.
    #[error("the server does not accept who asks: {0}; name the token: `secret \"FLIGHT_TOKEN\"`")]
    Unauthenticated(String),
    /// The server knows nothing of what it is asked for.
    #[error("the server does not have it: {0}")]
    NotFound(String),
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The stream ended before its end.
    #[error("the stream ended after {rows} rows, before its end: {reason}; nothing of it was kept: run again")]
    Cut {
        /// Rows that had come.
        rows: u64,
        /// What happened.
        reason: String,
    },
    /// The server sent what makes no sense.
    #[error("the server sent what can't be read: {0}")]
    Malformed(String),
    /// A message that is too large.
    #[error("the server sent a message of more than {} MiB; have it send smaller batches", .0 >> 20)]
    TooLarge(usize),
    /// What was read can't be handed on.
    #[error("{0}")]
    Write(String),
}

impl FlightError {
    /// What a call was answered with.
    pub(crate) fn of_status(status: &Status, most: usize) -> Self {
        let message = status.message().to_owned();
        match status.code() {
            Code::Unavailable => Self::Unreachable(causes(status)),
            Code::Unauthenticated | Code::PermissionDenied => Self::Unauthenticated(message),
            Code::NotFound => Self::NotFound(message),
            Code::OutOfRange if message.contains("message length too large") => Self::TooLarge(most),
            _ if message.is_empty() => Self::Refused(status.code().description().to_owned()),
            _ => Self::Refused(message),
        }
    }

    /// What the stream of an endpoint ended with, after so many rows.
    pub(crate) fn of_stream(error: &Decoding, rows: u64, most: usize) -> Self {
        match error {
            Decoding::Tonic(status) if rows == 0 => Self::of_status(status, most),
            Decoding::Tonic(status) => match Self::of_status(status, most) {
                Self::TooLarge(most) => Self::TooLarge(most),
                _ => Self::Cut { rows, reason: causes(status) },
            },
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// An error with those that it comes from, each said once.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
