//! What an author of a WASM stage in Rust depends on.
//!
//! A stage is a crate of type `cdylib` with one exported type. Pick the simplest trait that fits:
//!
//! | trait | for | exported as |
//! |---|---|---|
//! | [`MapColumns`] | read these columns of a row, write those | `export!(Map<T>)` |
//! | [`FilterRows`] | which rows stay | `export!(Filter<T>)` |
//! | [`Combine`] | counts, sums: a partial per segment, merged | `export!(Combining<T>)` |
//! | [`Stage`] | anything else: several ports, own rows, whole inputs | `export!(T)` |
//!
//! Batches live in the host. A stage declares which columns it reads and gets no others; what it does not read or
//! write costs nothing. Failures are [`Problem`]s, into which every error turns by `?`; a panic ends the invocation and
//! its message reaches the host's log. [`testing`] runs a stage natively, in an ordinary `cargo test`.
//!
//! Results are cached, so a stage must give equal rows for equal inputs: there is no clock, no randomness and no
//! network to reach, and [`HashMap`] has a fixed seed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub use flowc_arrays::comparable;
pub use schemars;
pub use serde;
pub use serde_json;

pub mod arrow;
mod batch;
mod columns;
mod combine;
mod description;
mod filter;
mod hash;
mod log;
mod map;
mod outputs;
mod problem;
mod stage;
pub mod text;

#[cfg(target_arch = "wasm32")]
mod alloc;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
#[cfg(target_arch = "wasm32")]
#[path = "host/component.rs"]
mod host;
#[cfg(any(target_arch = "wasm32", test))]
mod pool;

#[cfg(not(target_arch = "wasm32"))]
#[path = "host/memory.rs"]
mod host;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use batch::Batch;
pub use columns::{Column, Columns, is_text};
pub use combine::{Combination, Combine, Combining};
pub use description::{Class, Description, Input, Origin, Output, Rows, field};
pub use filter::{Filter, FilterRows};
pub use hash::{HashMap, HashSet, Hasher};
pub use log::{Level, log};
pub use map::{Map, MapColumns, Mapping};
pub use outputs::{MAX_ROWS, Outputs};
pub use problem::{Problem, Result, nearest};
pub use stage::{Opening, Phase, Stage};

/// What most stages need, in one `use`.
pub mod prelude {
    pub use std::sync::Arc;

    pub use crate::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
    pub use crate::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
    pub use crate::schemars::{self, JsonSchema};
    pub use crate::text::text;
    pub use crate::{
        Batch, Class, Column, Columns, Combination, Combine, Combining, Description, Filter, FilterRows, Input, Map,
        MapColumns, Mapping, Opening, Output, Outputs, Phase, Problem, Result, Stage, field,
    };
}

/// Makes a [`Stage`] the crate's component. Once per crate; elsewhere than on wasm32 it does nothing.
#[macro_export]
macro_rules! export {
    ($stage:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::guest::Component<$stage>;
    $crate::bindings::export_component!(Exported with_types_in $crate::bindings);
        };
    };
}
