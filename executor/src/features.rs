//! What this flowc was built with: Cargo features leave out what is heavy.

use flowc_planner::plan::Isolate;

/// A part of flowc that a build may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The name of the Cargo feature.
    pub name: &'static str,
    /// Whether this flowc has it.
    pub is_built: bool,
    /// The kind of stages that needs it, if one does.
    pub(crate) kind: Option<&'static str>,
    /// The way to isolate stages that needs it, if one does.
    pub(crate) isolate: Option<Isolate>,
}

/// Components on other hosts.
pub(crate) const WORKERS: Feature = feature("workers", cfg!(feature = "workers"));

/// All parts that may be left out, by name.
pub const FEATURES: [Feature; 16] = [
    feature("avro", cfg!(feature = "avro")),
    Feature {
        kind: Some("container"),
        isolate: Some(Isolate::Container),
        ..feature("containers", cfg!(feature = "containers"))
    },
    feature("databases", cfg!(feature = "databases")),
    feature("delta", cfg!(feature = "delta")),
    feature("flights", cfg!(feature = "flights")),
    Feature { kind: Some("gpu"), ..feature("gpu", cfg!(feature = "gpu")) },
    feature("kafka", cfg!(feature = "kafka")),
    feature("kafka-tls", cfg!(feature = "kafka-tls")),
    feature("objects", cfg!(feature = "objects")),
    Feature { isolate: Some(Isolate::Process), ..feature("processes", cfg!(feature = "processes")) },
    Feature { kind: Some("python"), ..feature("python", cfg!(feature = "python")) },
    feature("rust", cfg!(feature = "rust")),
    feature("serve", cfg!(feature = "serve")),
    Feature { kind: Some("sql"), ..feature("sql", cfg!(feature = "sql")) },
    feature("wasi", cfg!(feature = "wasi")),
    WORKERS,
];

const fn feature(name: &'static str, is_built: bool) -> Feature {
    Feature { name, is_built, kind: None, isolate: None }
}

/// The feature without which a kind of stages is not registered.
pub(crate) fn of_kind(kind: &str) -> Option<Feature> {
    FEATURES.into_iter().find(|feature| feature.kind == Some(kind))
}

/// The feature that is missing to isolate stages so, of those that there are.
pub(crate) fn missing_for(isolate: Isolate, features: &[Feature]) -> Option<&Feature> {
    features.iter().find(|feature| feature.isolate == Some(isolate) && !feature.is_built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_found_by_what_needs_it() {
        assert_eq!(of_kind("container").map(|feature| feature.name), Some("containers"));
        assert_eq!(of_kind("wasm"), None);
        let without = FEATURES.map(|feature| Feature { is_built: feature.name != "processes", ..feature });
        let missing = |isolate| missing_for(isolate, &without).map(|feature| feature.name);
        assert_eq!(missing(Isolate::Process), Some("processes"));
        assert_eq!([Isolate::No, Isolate::Unit, Isolate::Container].map(missing), [None; 3]);
    }
}
