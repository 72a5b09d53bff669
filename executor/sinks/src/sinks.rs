//! From the specification of a sink to the sink.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_planner::plan::{SaslMechanism, SinkSpec, Target};

#[cfg(feature = "databases")]
use crate::database::TableSink;
#[cfg(feature = "delta")]
use crate::delta::DeltaTableSink;
use crate::files::place::Place;
use crate::files::sink::FileSink;
use crate::files::staging::Stagings;
#[cfg(feature = "kafka")]
use crate::log::TopicSink;
#[cfg(feature = "objects")]
use crate::objects::{Buckets, ObjectsSink};
use crate::sink::Sink;
use crate::stdout::StdoutSink;
#[cfg(not(all(feature = "databases", feature = "delta", feature = "kafka", feature = "objects")))]
use crate::unbuilt::UnbuiltSink;

/// The sinks of one run of a pipeline.
pub struct Sinks {
    base: PathBuf,
    stagings: Arc<Stagings>,
    #[cfg(feature = "objects")]
    buckets: Arc<Buckets>,
}

impl Sinks {
    /// `base` is the pipeline's folder, which relative paths start from.
    pub fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            stagings: Arc::default(),
            #[cfg(feature = "objects")]
            buckets: Arc::default(),
        }
    }

    /// The sink of a specification. A new kind of sink is added here, and to [`missing_for`].
    pub fn sink(&self, spec: &SinkSpec) -> Box<dyn Sink> {
        let files = |place| FileSink { place, spec: spec.clone(), stagings: self.stagings.clone() };
        match &spec.target {
            Target::File(path) => Box::new(files(Place::of_file(&self.base, path))),
            Target::Directory(path) => Box::new(files(Place::of_folder(&self.base, path))),
            Target::Stdout => Box::new(StdoutSink { spec: spec.clone() }),
            #[cfg(feature = "kafka")]
            Target::Kafka(kafka) => Box::new(TopicSink::new(spec, kafka, &self.base)),
            #[cfg(feature = "objects")]
            Target::Objects(objects) => Box::new(ObjectsSink::new(spec, objects, self.buckets.clone())),
            #[cfg(feature = "databases")]
            Target::Database(sink) => Box::new(TableSink::new(spec, sink, &self.base)),
            #[cfg(feature = "delta")]
            Target::Delta(sink) => Box::new(DeltaTableSink::new(spec, sink, &self.base)),
            // With all features there is no such place.
            #[cfg(not(all(feature = "databases", feature = "delta", feature = "kafka", feature = "objects")))]
            _ => Box::new(UnbuiltSink),
        }
    }

    /// Removes what is left of all transactions, once they have been finalized or given up.
    pub fn clear(&self) {
        self.stagings.clear();
    }
}

/// The name of the Cargo feature that this build lacks to write to such a place; none if it can.
pub fn missing_for(target: &Target) -> Option<&'static str> {
    let kafka = match target {
        Target::Kafka(kafka) => kafka,
        Target::Database(_) => return (!cfg!(feature = "databases")).then_some("databases"),
        Target::Delta(_) => return (!cfg!(feature = "delta")).then_some("delta"),
        Target::Objects(_) => return (!cfg!(feature = "objects")).then_some("objects"),
        Target::File(_) | Target::Directory(_) | Target::Stdout => return None,
    };
    let proves = kafka.sasl.as_ref().is_some_and(|sasl| sasl.mechanism != SaslMechanism::Plain);
    match kafka.tls.is_some() || proves {
        _ if !cfg!(feature = "kafka") => Some("kafka"),
        true if !cfg!(feature = "kafka-tls") => Some("kafka-tls"),
        _ => None,
    }
}
