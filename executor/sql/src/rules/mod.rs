//! What is added to the engine's own rules, so that results are the same every time, overflow is an error, and values are compared as
//! SQL says; and plans that do the same in other ways.

mod casts;
mod checked;
mod decimals;
mod distinct_orders;
mod expressions;
mod floats;
mod intervals;
mod kept_builds;
mod limits;
mod made;
mod mixed_numbers;
mod nans;
mod sorted_joins;
mod three_values;
mod ties;
mod time_parts;
mod time_patterns;
mod time_units;
mod times;
mod units;
mod written_numbers;
mod zeros;
mod zones;

pub(crate) use casts::ROUNDED_CASTS;
pub(crate) use checked::CHECKED_ARITHMETIC;
pub(crate) use distinct_orders::DISTINCT_ORDERS;
pub(crate) use floats::EXACT_FLOATS;
pub(crate) use intervals::IntervalArithmetic;
pub(crate) use kept_builds::{Drives, over_builds};
pub(crate) use limits::{OrderedLimits, has_own_order, is_ordered};
pub(crate) use mixed_numbers::MixedNumbers;
pub(crate) use nans::{ONE_NAN, one_nan};
pub(crate) use sorted_joins::with_sorted_joins;
pub(crate) use three_values::ThreeValues;
pub(crate) use ties::{TieBreakers, is_sortable, is_sorted, sorted_by, sorted_by_all};
pub(crate) use time_units::TIME_CASTS;
pub(crate) use written_numbers::decimal;
pub(crate) use zeros::ONE_ZERO;
pub(crate) use zones::{AT_TIME_ZONE, at_time_zone};
