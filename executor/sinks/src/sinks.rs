//! From the specification of a sink to the sink.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_planner::plan::{SinkSpec, Target};

use crate::files::place::Place;
use crate::files::sink::FileSink;
use crate::files::staging::Stagings;
use crate::sink::Sink;
use crate::stdout::StdoutSink;

/// The sinks of one run of a pipeline.
pub struct Sinks {
    base: PathBuf,
    stagings: Arc<Stagings>,
}

impl Sinks {
    /// `base` is the pipeline's folder, which relative paths start from.
    pub fn new(base: &Path) -> Self {
        Self { base: base.to_owned(), stagings: Arc::default() }
    }

    /// The sink of a specification. A new kind of sink is added here.
    pub fn sink(&self, spec: &SinkSpec) -> Box<dyn Sink> {
        let files = |place| FileSink { place, spec: spec.clone(), stagings: self.stagings.clone() };
        match &spec.target {
            Target::File(path) => Box::new(files(Place::of_file(&self.base, path))),
            Target::Directory(path) => Box::new(files(Place::of_folder(&self.base, path))),
            Target::Stdout => Box::new(StdoutSink { spec: spec.clone() }),
        }
    }

    /// Removes what is left of all transactions, once they have been finalized or given up.
    pub fn clear(&self) {
        self.stagings.clear();
    }
}
