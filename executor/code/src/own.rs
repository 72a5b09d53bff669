//! What a pipeline itself reads and writes: no code of its stages, though it may lie in their folders.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::tree::normal;

/// Endings of files that a build or an import reads: they are code even where a source reads them too.
const CODE: [&str; 7] = ["py", "pyi", "so", "pyd", "rs", "toml", "lock"];

/// Files of a pipeline: its texts and its lock, files of its sources, files and folders of its sinks, and the store.
#[derive(Clone, Debug, Default)]
pub struct PipelineFiles {
    paths: BTreeSet<PathBuf>,
    sources: GlobSet,
}

impl PipelineFiles {
    /// `written` are paths of files and folders, `read` are paths and patterns of source files. Those that are relative start
    /// from `base`, which is a real path.
    pub fn new(base: &Path, written: impl IntoIterator<Item = PathBuf>, read: &[String]) -> Self {
        let mut sources = GlobSetBuilder::new();
        for pattern in read {
            let absolute = normal(&Path::new(&globset::escape(&base.to_string_lossy())).join(pattern));
            // What is no pattern is told of by whoever reads the source.
            if let Ok(glob) = GlobBuilder::new(&absolute.to_string_lossy()).literal_separator(true).build() {
                sources.add(glob);
            }
        }
        let paths = written.into_iter().map(|path| real(&normal(&base.join(path)))).collect();
        Self { paths, sources: sources.build().unwrap_or_default() }
    }

    /// Whether a real path is one of them.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        let is_code = path.extension().and_then(OsStr::to_str).is_some_and(|ending| CODE.contains(&ending));
        self.paths.contains(path) || (!is_code && self.sources.is_match(path))
    }
}

/// A path that need not lead anywhere yet, with the links on the way to it followed.
fn real(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_files_are_no_code_unless_an_import_reads_them() {
        let files =
            PipelineFiles::new(Path::new("/p[1]"), [PathBuf::from("out")], &["data/*.csv".into(), "**/*.py".into()]);
        assert!(files.contains(Path::new("/p[1]/out")));
        assert!(files.contains(Path::new("/p[1]/data/a.csv")));
        assert!(!files.contains(Path::new("/p[1]/data/deep/a.csv")));
        assert!(!files.contains(Path::new("/p[1]/stage.py")));
        assert!(!files.contains(Path::new("/p1/data/a.csv")));
    }
}
