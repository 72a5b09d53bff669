//! Reads the code of stages: what is known of its files is remembered, and so is what each stage consisted of.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use flowc_code::{Digests, Parts, PipelineFiles, Reader, Snapshots};
use flowc_planner::catalogue::OwnFiles;
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_runner::Keep;
use flowc_store::Store;

use crate::remembered::CODE;

/// How the code of a pipeline's stages is read.
pub(crate) struct CodeReading<'a> {
    store: &'a Store,
    snapshots: &'a Snapshots,
    base: &'a Path,
    /// The pipeline's texts and its lock, and the store.
    always: Vec<PathBuf>,
    own: RefCell<PipelineFiles>,
}

impl<'a> CodeReading<'a> {
    /// Reading for the pipeline of these texts and this lock. Relative paths of its sources and sinks start from `base`.
    pub(crate) fn new(store: &'a Store, snapshots: &'a Snapshots, base: &'a Path, texts: Vec<PathBuf>) -> Self {
        let folder = store.dir().canonicalize();
        let always: Vec<PathBuf> = texts.into_iter().chain(folder).collect();
        let own = RefCell::new(PipelineFiles::new(base, always.clone(), &[]));
        Self { store, snapshots, base, always, own }
    }

    /// From now on these files are no code.
    pub(crate) fn leave_out(&self, own: &OwnFiles) {
        let written = self.always.iter().cloned().chain(own.written.iter().map(PathBuf::from));
        *self.own.borrow_mut() = PipelineFiles::new(self.base, written, &own.read);
    }

    /// The folder that relative paths start from.
    pub(crate) fn base(&self) -> &Path {
        self.base
    }

    /// Has the code of a folder read, with what is known of its files.
    pub(crate) fn read(&self, folder: &Path, keep: Keep, read: &mut dyn FnMut(&Reader<'_>)) {
        let keep = Some(self.snapshots).filter(|_| keep == Keep::Contents && !self.store.is_read_only());
        let key = KeyHasher::new("code digests 1").bytes(folder.as_os_str().as_encoded_bytes()).finish();
        let known: Option<Digests> = self.store.memo(CODE, &key).unwrap_or_default();
        let own = self.own.borrow();
        let reader = Reader::new(&own, keep, known.unwrap_or_default());
        read(&reader);
        if let Some(learned) = reader.learned() {
            // What can't be remembered is read again next time.
            let _ = self.store.remember(CODE, &key, &learned);
        }
    }

    /// Remembers what a stage consists of.
    pub(crate) fn remember(&self, stage: &StageDigest, parts: &Parts) {
        let key = parts_key(stage);
        if self.store.memo::<Parts>(CODE, &key).is_ok_and(|known| known.as_ref() != Some(parts)) {
            // Without it `why` names no files.
            let _ = self.store.remember(CODE, &key, parts);
        }
    }
}

/// The parts of a stage's code that differ from those of another's; none where they are not known.
pub(crate) fn changed_parts(store: &Store, before: &StageDigest, now: &StageDigest) -> Vec<String> {
    let parts = |stage| store.memo::<Parts>(CODE, &parts_key(stage)).ok().flatten();
    match (parts(before), parts(now)) {
        (Some(before), Some(now)) => now.changed(&before),
        _ => Vec::new(),
    }
}

fn parts_key(stage: &StageDigest) -> [u8; 32] {
    KeyHasher::new("code parts 1").digest(stage.as_bytes()).finish()
}
