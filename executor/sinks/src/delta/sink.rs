//! A Delta table as a sink.

use std::path::{Path, PathBuf};

use flowc_planner::plan::{ChangedRows, DeltaSink, DeltaTable, SinkSpec, TablePlace, Target, WriteMode};

use super::place::Place;
use super::record::Found;
use super::transaction::TableTransaction;
use crate::error::SinkError;
use crate::formats::check::check;
use crate::sink::{Claim, Dataset, Remembered, Sink, Transaction};
use crate::state::{Intact, SinkState, result_digest};

/// A sink that adds versions to a table.
pub(crate) struct DeltaTableSink {
    spec: SinkSpec,
    sink: DeltaSink,
    /// The folder that relative paths start from.
    base: PathBuf,
}

impl DeltaTableSink {
    /// Asks no service yet.
    pub(crate) fn new(spec: &SinkSpec, sink: &DeltaSink, base: &Path) -> Self {
        Self { spec: spec.clone(), sink: sink.clone(), base: base.to_owned() }
    }

    /// Whether the table says that it has what was written, and, where that is all that it is to have, that nobody has written since.
    fn has(&self, state: &SinkState) -> Result<bool, SinkError> {
        let found = Found::look(&Place::new(&self.sink, &self.base)?)?;
        let is_written = found.record.is_some_and(|record| record.result == state.result);
        let version = state.files.first().map(|file| file.stamp.size);
        let is_newest = found.head.is_some_and(|head| Some(head.number()) == version);
        Ok(is_written && (self.sink.mode == WriteMode::Append || is_newest))
    }
}

impl Sink for DeltaTableSink {
    fn place(&self) -> Vec<u8> {
        let DeltaSink { table, id, .. } = &self.sink;
        let DeltaTable { place, endpoint, .. } = table;
        format!("delta//{}/{place}//{id}", endpoint.as_deref().unwrap_or_default()).into_bytes()
    }

    fn claim(&self) -> Option<Claim> {
        let TablePlace::Folder(text) = &self.sink.table.place else { return None };
        let ending = Some(".parquet".to_owned());
        Some(Claim { text: text.clone(), path: self.base.join(text), ending, is_shared: true })
    }

    fn result(&self, dataset: &Dataset<'_>) -> [u8; 32] {
        result_digest(&shaping(&self.spec), &dataset.schema, dataset.segments)
    }

    /// By a listing of the log, and what is new in it. What does not answer is asked again when it is written.
    fn is_intact(&self, state: &SinkState) -> Intact {
        match self.has(state) {
            Ok(true) => Intact::Yes,
            _ => Intact::Missing(PathBuf::from(self.sink.table.place.to_string())),
        }
    }

    fn open(&self, dataset: &Dataset<'_>, _earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError> {
        check(&self.spec, &dataset.schema)?;
        let place = Place::new(&self.sink, &self.base)?;
        Ok(Box::new(TableTransaction::new(place, &shaping(&self.spec), dataset, self.result(dataset))?))
    }
}

/// What of a specification shapes rows: not how the store is reached, nor what becomes of rows that have changed.
fn shaping(spec: &SinkSpec) -> SinkSpec {
    let Target::Delta(sink) = &spec.target else { return spec.clone() };
    let table = DeltaTable { region: None, endpoint: None, anonymous: false, ..sink.table.clone() };
    let sink = DeltaSink { table, changed: ChangedRows::Fail, ..sink.as_ref().clone() };
    SinkSpec { target: Target::Delta(Box::new(sink)), ..spec.clone() }
}
