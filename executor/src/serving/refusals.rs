//! Why something that was asked for is not given.

use flowc_serve::Refusal;

use crate::{Error, ErrorClass};

/// An error of the engine, for who asked.
pub(super) fn refusal(error: Error) -> Refusal {
    let message = error.to_string();
    match error.class() {
        ErrorClass::Internal => Refusal::Internal(message),
        _ => Refusal::Unavailable(message),
    }
}
