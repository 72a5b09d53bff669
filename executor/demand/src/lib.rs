//! Decides what runs, from keys alone: no store, no files, no runtimes.
//!
//! A request goes through these modules:
//!
//! 1. [`selection`] says which stages, sinks and sources a request is about;
//! 2. [`keys`] derives the keys of every stream from those of the sources; [`segments`] is the tree that has them; [`lineage`] finds
//!    which columns are a source's own;
//!    Which windows there are [`windows`] finds from the times of the sources' rows;
//! 3. [`location`] says where each column can be had: in the store, in a source file, or nowhere yet. What the store holds
//!    it asks a [`Lookup`];
//! 4. [`demand`] makes a [`task`] of everything that is missing;
//! 5. [`ahead`] says which tasks need not wait until all sources have been read;
//! 6. [`content`] derives the keys of a task's results from the content of what it takes in, so that equal content is
//!    recognised (early cutoff);
//! 7. [`pass`] says which tasks are done in one pass, through a tree of stages;
//! 8. [`passthrough`] and [`fusion`] say which stages of a task need not be called, and which share an instance.
//!
//! `tests/cases` has one text file per test: a pipeline, what changes, and the tasks that follow.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ahead;
mod content;
mod demand;
mod fusion;
mod groups;
mod keys;
mod lineage;
mod location;
mod pass;
mod passthrough;
mod segments;
mod selection;
mod sliced;
mod task;
mod windows;

pub use ahead::Ahead;
pub use content::{ChainKeys, ContentKeys, PartitionedInputs, StoredPartition};
pub use demand::{Demand, demand, gathers, is_unreduced};
pub use fusion::fused_groups;
pub use groups::Part;
pub use keys::{Clocks, Datasets, InvocationInputs, KeyDeriver, no_clocks};
pub use lineage::{Lineage, SourceColumn, row_origin};
pub use location::{AtHand, ColumnLocation, Locator, Lookup, NodeKey, node_keys};
pub use pass::{TaskTree, TreeNode};
pub use passthrough::{Passthrough, is_never_called, passthrough};
pub use segments::{FAN_OUT, Node, Segments, Shape};
pub use selection::{Request, Selection, UnknownStage, makers, stage_named};
pub use sliced::{SliceOf, Slices};
pub use task::{ChainStage, Root, StoredOutput, Task, TaskId, Work, input_columns};
pub use windows::{
    Beginning, Grid, Layout, SegmentClock, SegmentTimes, Slice, WindowPart, beginnings, groups_of_keys, is_late,
    late_rows, parse_time, placeable, time_text,
};
