//! What every runner must do, as one suite that runs against any of them.
//!
//! A runner brings a [`Subject`]: itself, and a stage of its kind that behaves as its config says. The stage has
//!
//! - the input `in`, row-wise, with the columns of [`input_schema`], of which it reads `id`;
//! - the output `out`: it passes on `id` and `text` and writes `extra` (`Int64`, not nullable). Its rows are the
//!   input's, or a subset of them where the config says `{"rows": "subset"}`;
//! - the output `words`: new rows of one column, `word` (`Utf8`, not nullable).
//!
//! With `{"class": "combining"}` the input is combining, a partial is one row with the sum of the `id`s (or of partials)
//! in the column `sum` (`Int64`), and so is `out`. `{"describe": "problem"}` makes `describe` answer with a problem at
//! `/do`. `{"do": ...}` is one of
//!
//! | `do` | on each batch |
//! |---|---|
//! | `good` | emits it on `out` |
//! | `slices` | emits it in two parts |
//! | `filter` | emits every second row |
//! | `words` | emits the words `a` and `bc` |
//! | `late` | keeps it; emits all in `finish`, the last one first |
//! | `calls` | as `good`; logs `open PHASE PART`, `push PORT ROWS`, `end PORT`, `finish`, as they are called |
//! | `log` | logs `line 0`, `line 1`, ... a hundred thousand times |
//! | `problem` | answers with the problem `this row is not to my taste` at `/do` |
//! | `panic`, `panic-in-open` | crashes with a message that holds `cannot go on`, or `no wish to open` |
//! | `loop`, `memory` | never returns; takes memory without end |
//! | `read-undeclared` | reads `text` |
//! | `derive-short` | writes too few values of `extra` |
//! | `bad-offsets`, `bad-text`, `nulls` | writes such a column `word` |
//! | `skip`, `twice` | emits nothing; emits it twice |
//! | `no-such-port` | emits it on port 9; where that can't be said, consumes rows of a port that it was not given |

mod boundaries;
mod cases;
mod chains;
mod harness;

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem};
use flowc_planner::key::StageDigest;

use crate::Runner;
pub use chains::chain_failures;
pub use harness::{Keeper, Kept, batch, drive, ids, input_schema, invocation, run};

/// A runner with the stage that the suite is about.
pub trait Subject: Sync {
    /// The runner.
    fn runner(&self) -> &dyn Runner;

    /// The stage, which the runner knows.
    fn digest(&self) -> StageDigest;

    /// Whether stages say which of the input's rows they emit where they keep all. If not, rows are the next ones whatever
    /// the stage meant, and `late` is no breach that could be seen.
    fn says_which_rows(&self) -> bool {
        true
    }

    /// What the stage makes of a config (JSON) and of one input.
    ///
    /// # Errors
    /// What the stage says is wrong with its config or input.
    fn describe(&self, config: &str, input: SchemaRef) -> Result<Description, Problem>;
}

/// Runs the whole suite; gives what a runner fails in, by the name of the case.
pub fn failures(subject: &dyn Subject) -> Vec<String> {
    let failure = |(name, case): &(&str, cases::Case)| Some(format!("{name}: {}", case(subject).err()?));
    all().filter_map(failure).collect()
}

/// The chapters of the suite, one after the other.
fn all() -> impl Iterator<Item = &'static (&'static str, cases::Case)> {
    cases::CASES.iter().chain(&boundaries::CASES)
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::Serialization;

    use super::*;
    use crate::{ChainRunner, EdgeObserver, Instance, Invocation, Outlet, StageError, StageFault};

    /// A runner that does nothing right.
    struct Nothing;

    impl Runner for Nothing {
        fn open(&self, _: &Invocation, _: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
            Err(StageError::new("", StageFault::Cancelled))
        }
    }

    impl ChainRunner for Nothing {
        fn open_chain(
            &self,
            _: &[Invocation],
            _: Vec<Box<dyn EdgeObserver>>,
            _: Box<dyn Outlet>,
        ) -> Result<Box<dyn Instance>, StageError> {
            Err(StageError::new("", StageFault::Cancelled))
        }
    }

    impl Subject for Nothing {
        fn runner(&self) -> &dyn Runner {
            self
        }

        fn digest(&self) -> StageDigest {
            StageDigest::new([0; 32])
        }

        fn describe(&self, _: &str, _: SchemaRef) -> Result<Description, Problem> {
            Err(Problem::new("no description"))
        }
    }

    #[test]
    fn a_runner_that_does_nothing_right_fails_in_every_case() {
        assert_eq!(failures(&Nothing).len(), all().count());
        assert_eq!(chain_failures(&Nothing, &Nothing, Serialization::Arrow).len(), chains::CASES.len());
    }
}
