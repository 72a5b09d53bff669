//! From the specification of a source to the source.

use std::path::Path;

use flowc_planner::plan::{Location, SourceSpec};

use crate::files::source::FileSource;
use crate::source::Source;
use crate::stdin::StdinSource;

/// The source of a specification. A new kind of source is added here. `base` is the pipeline's folder, which relative
/// paths start from.
pub fn source(spec: &SourceSpec, base: &Path) -> Box<dyn Source> {
    let spec = spec.clone();
    match spec.location.clone() {
        Location::Files(patterns) => Box::new(FileSource { patterns, spec, base: base.to_owned() }),
        Location::Stdin => Box::new(StdinSource { spec }),
    }
}
