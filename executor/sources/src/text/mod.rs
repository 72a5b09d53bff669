//! Formats of text: files cut into segments where their content says, records parsed into batches, bad rows sifted out.
//!
//! `file` cuts, `sift` reads a segment by the `parser` of its format.

pub(crate) mod checked;
pub(crate) mod csv;
pub(crate) mod cut;
pub(crate) mod dialect;
pub(crate) mod file;
pub(crate) mod framing;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod parser;
pub(crate) mod quoted;
pub(crate) mod sift;
