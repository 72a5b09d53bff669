//! Texts of Protocol Buffers, in the place of descriptors.

use std::path::{Path, PathBuf};

/// A `FileDescriptorSet`, and the files that it was made of with BLAKE3 of what they held.
type Compiled = (Vec<u8>, Vec<(PathBuf, [u8; 32])>);

/// The descriptors of a `.proto` file and of what it imports from its folder.
///
/// # Errors
/// What is wrong with a text, with its place; or that this flowc was built without what compiles it.
#[cfg(feature = "avro")]
pub fn compiled_proto(file: &Path) -> Result<Compiled, String> {
    let compiled = flowc_records::compile_texts(file)?;
    Ok((compiled.descriptors, compiled.read))
}

/// The descriptors of a `.proto` file and of what it imports from its folder.
///
/// # Errors
/// This flowc was built without what compiles it.
#[cfg(not(feature = "avro"))]
pub fn compiled_proto(_: &Path) -> Result<Compiled, String> {
    Err("this flowc was built without the Cargo feature `kafka`, which compiles it".to_owned())
}
