//! What is added to the engine's own rules, so that results are the same every time and overflow is an error.

mod checked;
mod limits;
mod sorted_joins;
mod ties;

pub(crate) use checked::CheckedArithmetic;
pub(crate) use limits::{OrderedLimits, is_ordered};
pub(crate) use sorted_joins::with_sorted_joins;
pub(crate) use ties::{TieBreakers, sorted_by, sorted_by_all};
