//! A file, or a folder of files, as a sink.

use std::sync::Arc;

use flowc_planner::plan::SinkSpec;
use flowc_platform::FileStamp;

use crate::error::SinkError;
use crate::files::commit::{announcement, commit};
use crate::files::place::Place;
use crate::files::staging::Stagings;
use crate::files::transaction::FileTransaction;
use crate::files::writer::FileWriter;
use crate::sink::{Claim, Dataset, Finalized, Job, Remembered, RowWriter, Sink, Transaction, WatchedFile};
use crate::state::{Intact, SinkState, result_digest};
use crate::syncs::Syncs;

/// A sink that writes one file, or a folder with a file per segment.
pub(crate) struct FileSink {
    /// Where.
    pub(crate) place: Place,
    /// How.
    pub(crate) spec: SinkSpec,
    /// The staging folders of all sinks of the run.
    pub(crate) stagings: Arc<Stagings>,
}

impl Sink for FileSink {
    fn place(&self) -> Vec<u8> {
        self.place.target().into_os_string().into_encoded_bytes()
    }

    fn claim(&self) -> Option<Claim> {
        let ending = self.place.is_folder.then(|| self.spec.ending());
        Some(Claim { text: self.place.path.clone(), path: self.place.target(), ending, is_shared: false })
    }

    fn result(&self, dataset: &Dataset<'_>) -> [u8; 32] {
        result_digest(&self.spec, &dataset.schema, dataset.segments)
    }

    /// By stat alone. A file that was merely touched counts as altered; the next transaction reads it and keeps it.
    fn is_intact(&self, state: &SinkState) -> Intact {
        let target = self.place.target();
        for file in &state.files {
            let path = self.place.file(&target, &file.path);
            match FileStamp::of(&path) {
                Ok(stamp) if stamp == file.stamp => {}
                Ok(_) => return Intact::Altered(path),
                Err(_) => return Intact::Missing(path),
            }
        }
        let folder_gone = self.place.is_folder && !target.is_dir();
        if folder_gone { Intact::Missing(target) } else { Intact::Yes }
    }

    fn watched(&self, state: &SinkState) -> Option<Vec<WatchedFile>> {
        let target = self.place.target();
        let watched = state.files.iter().map(|file| WatchedFile {
            path: self.place.file(&target, &file.path),
            stamp: file.stamp,
            bytes_digest: file.bytes_digest,
        });
        Some(watched.collect())
    }

    fn recover(&self) -> Result<(), SinkError> {
        self.stagings.recover(&self.place.located()?)
    }

    fn open(&self, dataset: &Dataset<'_>, earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError> {
        Ok(Box::new(FileTransaction::new(&self.place, &self.spec, dataset, earlier, &self.stagings)?))
    }
}

impl Transaction for FileTransaction {
    fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        let Job { name, .. } = self.jobs.get(job).ok_or(SinkError::Incomplete { job })?;
        let shown = self.place.file(&self.target, name);
        Ok(Box::new(FileWriter::new(self, job, name, shown)?))
    }

    fn prepare(&self, syncs: &mut Syncs) -> Result<(), SinkError> {
        syncs.add(self.staging.folder());
        Ok(())
    }

    /// A folder's own files; a single file is replaced whatever it holds.
    fn announced(&self) -> Result<Option<SinkState>, SinkError> {
        if self.place.is_folder { announcement(self) } else { Ok(None) }
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        commit(&self)
    }
}
