//! The parts of Arrow that stages use, by the paths of the crate `arrow`.
//!
//! Arrays, buffers, types and schemas are always there. Kernels take long to compile, so each crate of them is a feature of
//! this crate: `arith`, `cast`, `ord`, `row`, `select` and `string`; `compute` is all of them.

pub use arrow_array::{downcast_dictionary_array, downcast_primitive_array, temporal_conversions};
pub use arrow_buffer::{alloc, buffer};
#[cfg(feature = "row")]
pub use arrow_row as row;

/// Arrays, their builders and casts between their Rust types.
pub mod array {
    pub use arrow_array::builder::*;
    pub use arrow_array::cast::*;
    pub use arrow_array::iterator::*;
    pub use arrow_array::*;
    pub use arrow_data::transform::{Capacities, MutableArrayData};
    pub use arrow_data::{
        ArrayData, ArrayDataBuilder, ArrayDataRef, BufferSpec, ByteView, DataTypeLayout, MAX_INLINE_VIEW_LEN, layout,
    };
    #[cfg(feature = "ord")]
    pub use arrow_ord::ord::{DynComparator, make_comparator};
}

/// Types, fields and schemas.
pub mod datatypes {
    pub use arrow_array::types::*;
    pub use arrow_array::{ArrowNativeTypeOp, ArrowNumericType, ArrowPrimitiveType};
    pub use arrow_buffer::{ArrowNativeType, ToByteSlice, i256};
    pub use arrow_data::decimal::*;
    pub use arrow_schema::{
        DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaBuilder, SchemaRef, TimeUnit, UnionFields,
        UnionMode,
    };
}

/// What can go wrong.
pub mod error {
    pub use arrow_schema::ArrowError;

    /// What functions of Arrow answer with.
    pub type Result<T> = std::result::Result<T, ArrowError>;
}

/// Record batches.
pub mod record_batch {
    pub use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchOptions, RecordBatchReader, RecordBatchWriter};
}

/// Kernels, of the features that are on.
pub mod compute {
    #[cfg(feature = "arith")]
    pub use arrow_arith::{aggregate::*, arithmetic::*, arity::*, boolean::*, temporal::*};
    #[cfg(feature = "cast")]
    pub use arrow_cast::cast::*;
    #[cfg(feature = "ord")]
    pub use arrow_ord::{comparison::*, partition::*, rank::*, sort::*};
    #[cfg(feature = "select")]
    pub use arrow_select::{
        coalesce::*, concat::*, filter::*, interleave::*, nullif::*, take::*, union_extract::*, window::*,
    };
    #[cfg(feature = "string")]
    pub use arrow_string::{like::*, regexp::*};

    /// The same kernels by module.
    pub mod kernels {
        #[cfg(feature = "arith")]
        pub use arrow_arith::{aggregate, arithmetic, arity, bitwise, boolean, numeric, temporal};
        #[cfg(feature = "cast")]
        pub use arrow_cast::{cast, parse as cast_utils};
        #[cfg(feature = "ord")]
        pub use arrow_ord::{cmp, partition, rank, sort};
        #[cfg(feature = "select")]
        pub use arrow_select::{coalesce, concat, filter, interleave, merge, nullif, take, union_extract, window, zip};
        #[cfg(feature = "string")]
        pub use arrow_string::{concat_elements, length, regexp, substring};

        /// Comparisons, those of text too.
        pub mod comparison {
            #[cfg(feature = "ord")]
            pub use arrow_ord::comparison::*;
            #[cfg(feature = "string")]
            pub use arrow_string::like::*;
            #[cfg(feature = "string")]
            pub use arrow_string::regexp::{regexp_is_match, regexp_is_match_scalar};
        }
    }
}

/// Bits, and values as text.
pub mod util {
    pub use arrow_buffer::{bit_chunk_iterator, bit_util};
    #[cfg(feature = "cast")]
    pub use arrow_cast::display;
    pub use arrow_data::{bit_iterator, bit_mask};
}
