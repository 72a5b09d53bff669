//! What is added to the engine's own rules, so that results are the same every time, overflow is an error, and values are compared as
//! SQL says; and plans that do the same in other ways.

mod casts;
mod checked;
mod expressions;
mod kept_builds;
mod limits;
mod nans;
mod sorted_joins;
mod three_values;
mod ties;
mod zeros;

pub(crate) use casts::RoundedCasts;
pub(crate) use checked::CheckedArithmetic;
pub(crate) use kept_builds::{Drives, over_builds};
pub(crate) use limits::{OrderedLimits, is_ordered};
pub(crate) use nans::{OneNan, one_nan};
pub(crate) use sorted_joins::with_sorted_joins;
pub(crate) use three_values::ThreeValues;
pub(crate) use ties::{TieBreakers, is_sortable, is_sorted, sorted_by, sorted_by_all};
pub(crate) use zeros::OneZero;
