//! Messages of Protocol Buffers. `prost-reflect` knows descriptors, and reads messages; writing them is little, and here: the same rows
//! have to give the same bytes.

pub(crate) mod columns;
pub(crate) mod decode;
pub(crate) mod encode;
mod framing;
pub(crate) mod texts;

#[cfg(test)]
mod tests;
