//! SQL stages, which the program `flowc-sql` serves.
//!
//! [`SqlStages`] finds that program beside flowc and starts it in sandboxes, as Python stages are started. The program holds the
//! query engine; flowc itself links none of it. What both have to know of each other is in [`query`].

mod ad_hoc;
mod kind;
mod launch;
pub mod query;

pub use ad_hoc::{AdHocQueries, AdHocQuery};
pub use kind::{SqlStages, StatementCache};
pub use launch::{Engine, PROGRAM, SqlLauncher};
