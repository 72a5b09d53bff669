//! The program that serves SQL stages: DataFusion behind the stage protocol.
//!
//! flowc starts it in a sandbox and asks it what a query is (`served`), before it has it run (`run`).
//!
//! - `session`: the engine, set up so that results are the same bytes every time;
//! - `statement`: a statement's text, and its normal form; `dialect`: how operators bind in it;
//! - `time_windows`: `TUMBLE`, `HOP` and `SESSION`, as queries;
//! - `offered`: what is refused of SQL, and what is written otherwise;
//! - `literals`: which numbers of a statement are floats; `patterns`: those of `LIKE` and `SIMILAR TO`;
//! - `synonyms`: what other words say; `absent`: functions that there are none of;
//! - `planning`: from a statement to an optimised plan, and `problems` with their places;
//! - `functions`: what is known of the engine's functions;
//! - `shaped`: from a query to its plan and its shape;
//! - `shape`: what a plan needs of its inputs before it can answer: a row, rows of one key, or all;
//! - `rules`: what is added to the engine's own rules;
//! - `sums`: sums and what is made of them, without rounding;
//! - `scalars`: functions of lists in the place of the engine's;
//! - `extremes`: the least and the greatest of floats;
//! - `table`: the rows of an input;
//! - `memory`: what rows and the engine may take, and what they were refused.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod absent;
// The sums of SQL stages are those of the standard stage `aggregate`.
#[path = "../../../stdlib-stages/aggregate/src/big.rs"]
#[allow(dead_code, reason = "decimals have scales of their own there")]
mod big;
mod dialect;
#[path = "../../../stdlib-stages/aggregate/src/exact.rs"]
mod exact;
mod extremes;
mod functions;
mod literals;
mod memory;
mod offered;
mod patterns;
mod planning;
mod problems;
mod rules;
mod run;
mod scalars;
mod served;
mod session;
mod shape;
mod shaped;
mod stack;
mod statement;
mod sums;
mod synonyms;
mod table;
mod time_windows;

use std::process::ExitCode;
use std::sync::Arc;

use flowc_flight::serve::{Location, input_ended, serve};

use crate::served::SqlStages;

fn main() -> ExitCode {
    flowc_platform::keep_freed_memory();
    let Ok(location) = Location::of_environment() else {
        eprintln!("flowc-sql serves the SQL stages of flowc, which starts it; there is nothing to do for it here");
        return ExitCode::FAILURE;
    };
    match serve(Arc::new(SqlStages), &location, input_ended()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", location.listen);
            ExitCode::FAILURE
        }
    }
}
