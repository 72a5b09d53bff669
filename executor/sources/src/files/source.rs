//! Files as a source: one part each.

use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use arrow_schema::SchemaRef;
use flowc_planner::key::KeyHasher;
use flowc_planner::pattern::is_glob;
use flowc_planner::plan::SourceSpec;
use flowc_platform::{FileStamp, path_below};

use crate::error::SourceError;
use crate::files::list::{Listing, SourceFile, list};
use crate::files::open::OpenFile;
use crate::infer::basis::{Basis, basis};
use crate::infer::doubts::doubt;
use crate::infer::schema::infer_schema;
use crate::source::{Folders, Polled, Source, SourcePart};

/// Files that patterns match.
pub(crate) struct FileSource {
    /// Paths and globs.
    pub(crate) patterns: Vec<String>,
    /// How the files are read.
    pub(crate) spec: SourceSpec,
    /// The folder that relative paths start from.
    pub(crate) base: PathBuf,
}

impl FileSource {
    fn file(&self, name: &str) -> SourceFile {
        SourceFile { path: path_below(&self.base, name), name: name.to_owned() }
    }

    fn files(&self, parts: &[SourcePart]) -> Vec<SourceFile> {
        parts.iter().map(|part| self.file(&part.name)).collect()
    }

    /// Whether these folders are as they were, so that the files in them are the same. Whether a file is there that a
    /// pattern names as it is, no folder's stamp tells.
    fn holds(&self, folders: &[(PathBuf, FileStamp)]) -> bool {
        let is_as_it_was = |(path, stamp): &(PathBuf, FileStamp)| FileStamp::of(path).is_ok_and(|now| now == *stamp);
        self.patterns.iter().all(|pattern| is_glob(pattern)) && folders.iter().all(is_as_it_was)
    }

    /// Lists the files, and tells whether the folders' stamps can be trusted: an entry that is added while a folder is
    /// listed moves its stamp, unless it changed in the same tick before. Such a tick is waited out, but not dates in the
    /// future.
    fn list(&self) -> Result<(Listing, bool), SourceError> {
        let attempt = || {
            let now = SystemTime::now();
            let listing = list(&self.patterns, &self.base)?;
            let trusted = listing.directories.iter().all(|(_, stamp)| !stamp.is_racy(now));
            Ok((listing, trusted))
        };
        match attempt()? {
            (_, false) => {
                thread::sleep(FileStamp::TICK);
                attempt()
            }
            listed => Ok(listed),
        }
    }
}

impl Source for FileSource {
    fn hash_into(&self, hasher: &mut KeyHasher) {
        self.patterns.iter().for_each(|pattern| {
            hasher.bytes(pattern.as_bytes());
        });
    }

    fn patterns(&self) -> &[String] {
        &self.patterns
    }

    fn poll(&self, known: &Polled) -> Result<Polled, SourceError> {
        let (files, folders) = match known.folders.as_ref().filter(|folders| self.holds(folders)) {
            Some(folders) => (self.files(&known.parts), Some(folders.clone())),
            None => {
                let (listing, trusted) = self.list()?;
                (listing.files, trusted.then_some(listing.directories))
            }
        };
        let part = |SourceFile { path, name }: SourceFile| {
            let stamp = FileStamp::of(&path).map_err(SourceError::io(&name, "stat it"))?;
            Ok(SourcePart { name, path: Some(path), stamp: Some(stamp) })
        };
        let parts = files.into_iter().map(part).collect::<Result<_, SourceError>>()?;
        Ok(Polled { parts, folders })
    }

    fn infer_schema(&self, parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        infer_schema(&self.files(parts), &self.spec)
    }

    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError> {
        OpenFile::open(&self.file(&part.name), &self.spec, schema, &folders.spool)
    }

    fn doubt(&self, part: &SourcePart) -> Option<String> {
        doubt(&self.file(&part.name), &self.spec)
    }

    fn basis(&self, parts: &[SourcePart], error: &SourceError) -> Option<Basis> {
        basis(&self.files(parts), &self.spec, error)
    }
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::Format;

    use super::*;
    use crate::testing::{Folder, Table, schema, spec};

    fn names(polled: &Polled) -> Vec<&str> {
        polled.parts.iter().map(|part| part.name.as_str()).collect()
    }

    fn source(folder: &Folder, pattern: &str) -> FileSource {
        let (patterns, spec) = (vec![pattern.to_owned()], spec(Format::Lines));
        FileSource { patterns, spec, base: folder.path().to_owned() }
    }

    #[test]
    fn what_was_known_holds_while_the_folders_do() {
        let folder = Folder::new();
        folder.write("in/a.txt", "a\n");
        let source = source(&folder, "in/*.txt");
        let first = source.poll(&Polled::default()).unwrap();
        assert_eq!(names(&first), ["in/a.txt"]);
        // What no listing would give shows that nothing is listed.
        folder.write("other.txt", "b\n");
        let made_up = SourcePart { name: "other.txt".to_owned(), path: None, stamp: None };
        let known = Polled { parts: vec![made_up], folders: first.folders.clone() };
        assert_eq!(names(&source.poll(&known).unwrap()), ["other.txt"]);
        folder.write("in/b.txt", "b\n");
        assert_eq!(names(&source.poll(&known).unwrap()), ["in/a.txt", "in/b.txt"]);
    }

    #[test]
    fn a_file_that_is_named_is_looked_for_in_every_poll() {
        let folder = Folder::new();
        let file = folder.write("a.txt", "a\n");
        let source = source(&folder, "a.txt");
        let first = source.poll(&Polled::default()).unwrap();
        std::fs::remove_file(&file.path).unwrap();
        assert!(matches!(source.poll(&first), Err(SourceError::Missing { .. })));
    }

    #[test]
    fn a_part_has_the_stamp_of_its_file_and_its_rows() {
        let folder = Folder::new();
        let file = folder.write("a.txt", "one\ntwo\n");
        let source = source(&folder, "*.txt");
        let polled = source.poll(&Polled::default()).unwrap();
        let [part] = &polled.parts[..] else { panic!("{polled:?}") };
        assert_eq!((part.path.as_ref(), part.stamp), (Some(&file.path), FileStamp::of(&file.path).ok()));
        let within = |name: &str| folder.path().join(name);
        let folders = Folders { spool: folder.path().to_owned(), blocks: within("blocks"), schemas: within("schemas") };
        let open = source.open(part, &schema(&[("line", arrow_schema::DataType::Utf8, false)]), &folders).unwrap();
        assert_eq!(Some(open.stamp()), part.stamp);
        assert_eq!(Table::read(&open).unwrap().rows, ["one", "two"]);
    }
}
