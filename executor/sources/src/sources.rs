//! From the specification of a source to the source.

use std::path::Path;

use flowc_planner::plan::{Location, SaslMechanism, SourceSpec};

#[cfg(feature = "databases")]
use crate::database::DatabaseSource;
use crate::files::source::FileSource;
#[cfg(feature = "kafka")]
use crate::log::KafkaSource;
#[cfg(feature = "objects")]
use crate::objects::ObjectSource;
use crate::source::Source;
use crate::stdin::StdinSource;
#[cfg(not(all(feature = "databases", feature = "kafka", feature = "objects")))]
use crate::unbuilt::UnbuiltSource;

/// The source of a specification. A new kind of source is added here. `base` is the pipeline's folder, which relative
/// paths start from.
pub fn source(spec: &SourceSpec, base: &Path) -> Box<dyn Source> {
    let spec = spec.clone();
    match spec.location.clone() {
        Location::Files(patterns) => Box::new(FileSource { patterns, spec, base: base.to_owned() }),
        Location::Stdin => Box::new(StdinSource { spec }),
        #[cfg(feature = "kafka")]
        Location::Kafka(topic) => Box::new(KafkaSource::new(spec, *topic, base)),
        #[cfg(not(feature = "kafka"))]
        Location::Kafka(_) => Box::new(UnbuiltSource),
        #[cfg(feature = "objects")]
        Location::Objects(objects) => Box::new(ObjectSource::new(spec, *objects)),
        #[cfg(not(feature = "objects"))]
        Location::Objects(_) => Box::new(UnbuiltSource),
        #[cfg(feature = "databases")]
        Location::Database(source) => Box::new(DatabaseSource::new(*source, base)),
        #[cfg(not(feature = "databases"))]
        Location::Database(_) => Box::new(UnbuiltSource),
    }
}

/// The name of the Cargo feature that this build lacks to read from such a place; none if it can.
pub fn missing_for(location: &Location) -> Option<&'static str> {
    let topic = match location {
        Location::Objects(_) => return (!cfg!(feature = "objects")).then_some("objects"),
        Location::Database(_) => return (!cfg!(feature = "databases")).then_some("databases"),
        Location::Kafka(topic) => topic,
        Location::Files(_) | Location::Stdin => return None,
    };
    let proves = topic.sasl.as_ref().is_some_and(|sasl| sasl.mechanism != SaslMechanism::Plain);
    match topic.tls.is_some() || proves {
        _ if !cfg!(feature = "kafka") => Some("kafka"),
        true if !cfg!(feature = "kafka-tls") => Some("kafka-tls"),
        _ => None,
    }
}
