//! Which streams hold, beside their columns, how their rows were in the source: those between a source and a window, from the first stage
//! on that leaves out rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use crate::describe::Descriptions;
use crate::plan::Marks;
use crate::wiring::{Origin, Resolved};

/// The streams of a pipeline that need marks.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    /// Outputs of stages that hold them.
    pub(crate) streams: BTreeSet<Origin>,
    /// The streams above these, which have all rows of a source: their marks are added by a stage of flowc's own.
    pub(crate) unmarked: BTreeSet<Origin>,
}

impl Marked {
    /// Those of a pipeline whose windows are known.
    pub(crate) fn of(resolved: &Resolved, known: &Descriptions) -> Self {
        let mut marked = Self::default();
        for (stage, described) in &known.stages {
            let Some(origins) = &resolved.inputs[*stage] else { continue };
            let windows = described.windows.iter().zip(origins);
            let of_windows = windows.filter(|(window, _)| window.as_ref().is_some_and(|of| of.marks().is_some()));
            of_windows.for_each(|(_, origin)| marked.add(*origin, resolved, known));
        }
        marked
    }

    /// Adds a stream that needs them, and those above.
    fn add(&mut self, mut origin: Origin, resolved: &Resolved, known: &Descriptions) {
        while known.time(origin).is_some_and(|time| time.marks.is_some()) && self.streams.insert(origin) {
            match above(origin, resolved, known) {
                Some(above) => origin = above,
                None => return,
            }
        }
        if !self.streams.contains(&origin) {
            self.unmarked.insert(origin);
        }
    }
}

/// The stream whose rows an output has.
fn above(origin: Origin, resolved: &Resolved, known: &Descriptions) -> Option<Origin> {
    let Origin::Stage { stage, port } = origin else { return None };
    let input = known.stages.get(&stage)?.description.outputs.get(port)?.rows.input()?;
    resolved.inputs[stage].as_ref()?.get(input).copied()
}

/// The columns of a stream with its marks.
pub(crate) fn with_marks(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().cloned().chain(Marks::fields().map(Arc::new));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}
