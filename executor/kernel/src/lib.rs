//! Kernels in WGSL, matched to columns at plan time, classified by what their code can do, and made safe to run. All of it
//! works on texts and on naga's modules: no GPU, no driver.
//!
//! [`Kernel::parse`] reads a text of either form. [`Kernel::bind`] matches it to the columns of an input: what comes out
//! describes the stage. [`Kernel::build`] makes the module that runs, the checked build.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bind;
mod build;
mod class;
mod config;
mod counter;
mod depth;
mod diagnostic;
mod facts;
mod forms;
mod kernel;
mod layout;
mod module;
mod numeric;
mod operands;
mod parsed;
mod passes;
mod row;
mod standard;
mod waits;

pub use bind::{Bins, BinsOf, Bound, Contents, Edges, Labels, Part, Table, Written};
pub use build::{Access, Build, Fault, Shader, Site};
pub use counter::{Counter, MOST_ROWS, Operation};
pub use diagnostic::{Diagnostic, Excerpt, Source, problem};
pub use facts::Needs;
pub use kernel::Kernel;
pub use numeric::Numeric;
pub use passes::{Items, Pass};
pub use standard::{Standard, WrittenOut, standard};
