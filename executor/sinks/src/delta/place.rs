//! Where a table is, and what is remembered of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_delta::{DeltaError, Table};
use flowc_objects::{Client, access};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::{DeltaSink, DeltaTable, ObjectAddress, TablePlace};
use flowc_platform::FileStamp;

use crate::error::SinkError;
use crate::state::{SinkState, WrittenFile};

/// A table, once it was opened.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) sink: DeltaSink,
    pub(super) table: Table,
}

impl Place {
    /// Opens a table; asks nothing yet.
    pub(super) fn new(sink: &DeltaSink, base: &Path) -> Result<Self, SinkError> {
        let failed = |error: DeltaError| refused(sink, error.to_string());
        let table = match &sink.table.place {
            TablePlace::Folder(path) => Table::in_folder(&base.join(path)),
            TablePlace::Objects(address) => {
                let DeltaTable { place: _, region, endpoint, anonymous } = &sink.table;
                let access = access(address, region.as_deref(), endpoint.as_deref(), *anonymous);
                let client = Client::open(&access).map_err(|error| failed(error.into()))?;
                let ObjectAddress { scheme, bucket, key } = address;
                Table::in_bucket(Arc::new(client), scheme.name(), bucket, key)
            }
        };
        Ok(Self { sink: sink.clone(), table: table.map_err(failed)? })
    }

    pub(super) fn failed(&self, error: DeltaError) -> SinkError {
        self.refused(error.to_string())
    }

    pub(super) fn refused(&self, reason: String) -> SinkError {
        refused(&self.sink, reason)
    }

    /// Its name in the table's log.
    pub(super) fn app(&self) -> String {
        format!("flowc/{}", self.sink.id)
    }

    pub(super) fn shown(&self) -> PathBuf {
        PathBuf::from(self.sink.table.place.to_string())
    }
}

fn refused(sink: &DeltaSink, reason: String) -> SinkError {
    SinkError::Table { table: sink.table.place.to_string(), reason }
}

/// The state of a sink whose table has this many of its rows. `number`: of the version that it replaced all with; none where it appends.
pub(super) fn finished(place: &Place, result: [u8; 32], layout: [u8; 32], rows: u64, number: Option<u64>) -> SinkState {
    let mut hasher = KeyHasher::new("flowc delta table 1");
    let path = place.sink.table.place.to_string();
    let [a, b, c, d, e, f, g, h, ..] = hasher.bytes(path.as_bytes()).digest(&result).finish();
    let stamp = FileStamp::of_immutable(u64::from_le_bytes([a, b, c, d, e, f, g, h]), number.unwrap_or(0));
    let written = WrittenFile { path, stamp, segments: Vec::new(), rows, bytes_digest: result };
    SinkState { result, layout, files: vec![written], manifest: None }
}
