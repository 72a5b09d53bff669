//! Where the bytes of a part are, as columns are inferred from them.

use std::io::Read;
use std::path::Path;

use flowc_planner::plan::Compression;

use crate::error::SourceError;
use crate::files::list::SourceFile;
use crate::files::spool::open_plain;
use crate::files::view::View;

/// A part that can be read before the run.
pub(crate) trait PartBytes {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// Its bytes as they are stored.
    fn reader(&self) -> Result<Box<dyn Read + Send>, SourceError>;

    /// Its plain bytes, at any place. `folder`: for what must be unpacked.
    fn plain(&self, compression: Compression, folder: &Path) -> Result<View, SourceError>;
}

impl PartBytes for SourceFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(Box::new(std::fs::File::open(&self.path).map_err(SourceError::io(&self.name, "open it"))?))
    }

    fn plain(&self, compression: Compression, folder: &Path) -> Result<View, SourceError> {
        Ok(open_plain(self, compression, folder)?.0)
    }
}
