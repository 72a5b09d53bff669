//! Bytes as a sink's manifest, and as the remembered state of a sink. What is accepted comes back; a folder's files that
//! no manifest of ours lists are never among those that a run may replace.

use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use flowc_planner::plan::{Compression, Format, SinkSpec, Target};
use flowc_sinks::{Dataset, MANIFEST, Remembered, SinkSegment, SinkState, Sinks};

pub(crate) fn state(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Directory("out".to_owned());
    let (format, compression, partition_by) = (Format::JsonLines, Compression::None, Vec::new());
    let spec = SinkSpec { target, format, compression, partition_by };
    if let Ok(state) = postcard::from_bytes::<SinkState>(bytes) {
        let text = serde_json::to_vec(&state).unwrap();
        assert_eq!(serde_json::from_slice::<SinkState>(&text).unwrap(), state);
        Sinks::new(folder.path()).sink(&spec).is_intact(&state);
    }
    prepare(bytes, &spec, folder.path());
}

/// Goes to the point where files would be written, and back.
fn prepare(manifest: &[u8], spec: &SinkSpec, base: &Path) {
    let out = base.join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join(MANIFEST), manifest).unwrap();
    std::fs::write(out.join("foreign"), "not ours").unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let segments = [SinkSegment { name: Some("a.csv".to_owned()), digest: [7; 32] }];
    drop(Sinks::new(base).sink(spec).open(&Dataset { schema, segments: &segments }, Remembered::default()));
    assert_eq!(std::fs::read(out.join("foreign")).unwrap(), b"not ours");
}
