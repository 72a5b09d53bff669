//! From the specification of a source to the source.

use std::path::Path;

use arrow_schema::SchemaRef;
use flowc_planner::plan::{Format, Location, SaslMechanism, SourceSpec};

#[cfg(feature = "databases")]
use crate::database::DatabaseSource;
#[cfg(feature = "delta")]
use crate::delta::DeltaTableSource;
use crate::error::SourceError;
use crate::files::source::FileSource;
#[cfg(feature = "flights")]
use crate::flights::FlightSource;
#[cfg(feature = "kafka")]
use crate::log::{self as records, KafkaSource};
#[cfg(feature = "objects")]
use crate::objects::ObjectSource;
use crate::source::Source;
use crate::stdin::StdinSource;
#[cfg(not(feature = "kafka"))]
use crate::unbuilt as records;
#[cfg(not(all(
    feature = "databases",
    feature = "delta",
    feature = "flights",
    feature = "kafka",
    feature = "objects"
)))]
use crate::unbuilt::UnbuiltSource;

/// The source of a specification. A new kind of source is added here, and to [`missing_for`]. `base` is the pipeline's folder, which
/// relative paths start from.
pub fn source(spec: &SourceSpec, base: &Path) -> Box<dyn Source> {
    let spec = spec.clone();
    match spec.location.clone() {
        Location::Files(patterns) => Box::new(FileSource { patterns, spec, base: base.to_owned() }),
        Location::Stdin => Box::new(StdinSource { spec }),
        #[cfg(feature = "kafka")]
        Location::Kafka(topic) => Box::new(KafkaSource::new(spec, *topic, base)),
        #[cfg(feature = "objects")]
        Location::Objects(objects) => Box::new(ObjectSource::new(spec, *objects)),
        #[cfg(feature = "databases")]
        Location::Database(source) => Box::new(DatabaseSource::new(*source, base)),
        #[cfg(feature = "flights")]
        Location::Flight(flight) => Box::new(FlightSource::new(spec, *flight, base)),
        #[cfg(feature = "delta")]
        Location::Delta(source) => Box::new(DeltaTableSource::new(*source, base)),
        // With all features there is no such place.
        #[cfg(not(all(
            feature = "databases",
            feature = "delta",
            feature = "flights",
            feature = "kafka",
            feature = "objects"
        )))]
        _ => Box::new(UnbuiltSource),
    }
}

/// The columns of a source whose text has a schema of its records; none if it has none. They need no lock.
pub fn stated_columns(spec: &SourceSpec) -> Option<Result<SchemaRef, SourceError>> {
    records::stated(spec)
}

/// Whether the columns that the lock has of a source were pinned for what its text says now.
pub fn is_pinned_for(spec: &SourceSpec, pinned: &SchemaRef) -> bool {
    records::is_pinned_for(spec, pinned)
}

/// The name of the Cargo feature that this build lacks to read such files; none if it can.
pub fn missing_for_format(format: &Format) -> Option<&'static str> {
    (matches!(format, Format::Avro(_)) && !cfg!(feature = "avro")).then_some("avro")
}

/// The name of the Cargo feature that this build lacks to read from such a place; none if it can.
pub fn missing_for(location: &Location) -> Option<&'static str> {
    let topic = match location {
        Location::Objects(_) => return (!cfg!(feature = "objects")).then_some("objects"),
        Location::Database(_) => return (!cfg!(feature = "databases")).then_some("databases"),
        Location::Flight(_) => return (!cfg!(feature = "flights")).then_some("flights"),
        Location::Delta(_) => return (!cfg!(feature = "delta")).then_some("delta"),
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
