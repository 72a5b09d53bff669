//! Schemas as encapsulated messages of Arrow IPC, and nothing else of IPC.
//!
//! Stages exchange schemas with the host in this form. The crate arrow-ipc reads and writes it too, but brings the
//! kernels that it needs for batches: every stage would compile and carry them.

mod flatbuffer;
mod read;
mod write;

pub use read::read_schema;
pub use write::write_schema;

/// What comes before the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Messages are padded to a multiple of this.
const ALIGNMENT: usize = 8;

/// Slots of `Message`.
mod message {
    pub(super) const HEADER_TYPE: usize = 1;
    pub(super) const HEADER: usize = 2;
    /// The version of the format since Arrow 1.0.
    pub(super) const V5: i16 = 4;
    /// The kind of header that is a schema.
    pub(super) const SCHEMA: u8 = 1;
}

/// Slots of `Schema`, the root of the tables.
mod root {
    pub(super) const ENDIANNESS: usize = 0;
    pub(super) const FIELDS: usize = 1;
    pub(super) const METADATA: usize = 2;
}

/// Slots of `Field`.
mod field {
    pub(super) const NAME: usize = 0;
    pub(super) const NULLABLE: usize = 1;
    pub(super) const TYPE_KIND: usize = 2;
    pub(super) const TYPE: usize = 3;
    pub(super) const DICTIONARY: usize = 4;
    pub(super) const CHILDREN: usize = 5;
    pub(super) const METADATA: usize = 6;
}

/// Members of the union `Type`.
mod kind {
    pub(super) const NULL: u8 = 1;
    pub(super) const INT: u8 = 2;
    pub(super) const FLOATING_POINT: u8 = 3;
    pub(super) const BINARY: u8 = 4;
    pub(super) const UTF8: u8 = 5;
    pub(super) const BOOL: u8 = 6;
    pub(super) const DECIMAL: u8 = 7;
    pub(super) const DATE: u8 = 8;
    pub(super) const TIME: u8 = 9;
    pub(super) const TIMESTAMP: u8 = 10;
    pub(super) const INTERVAL: u8 = 11;
    pub(super) const LIST: u8 = 12;
    pub(super) const STRUCT: u8 = 13;
    pub(super) const UNION: u8 = 14;
    pub(super) const FIXED_SIZE_BINARY: u8 = 15;
    pub(super) const FIXED_SIZE_LIST: u8 = 16;
    pub(super) const MAP: u8 = 17;
    pub(super) const DURATION: u8 = 18;
    pub(super) const LARGE_BINARY: u8 = 19;
    pub(super) const LARGE_UTF8: u8 = 20;
    pub(super) const LARGE_LIST: u8 = 21;
    pub(super) const RUN_END_ENCODED: u8 = 22;
    pub(super) const BINARY_VIEW: u8 = 23;
    pub(super) const UTF8_VIEW: u8 = 24;
    pub(super) const LIST_VIEW: u8 = 25;
    pub(super) const LARGE_LIST_VIEW: u8 = 26;
}
