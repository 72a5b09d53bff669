//! The standard stages as components, embedded in the binary.

/// A standard stage.
#[derive(Clone, Copy, Debug)]
pub struct StdStage {
    /// Its name: `count`.
    pub name: &'static str,
    /// Its version: what a pipeline names as `count@1` keeps its meaning for ever.
    pub version: u32,
    /// The component's bytes.
    pub component: &'static [u8],
    /// BLAKE3 of the component's bytes, in hex.
    pub digest_hex: &'static str,
}

static STAGES: &[StdStage] = include!(concat!(env!("OUT_DIR"), "/stages.rs"));

/// All standard stages, by name.
pub fn stages() -> &'static [StdStage] {
    STAGES
}

/// The standard stage that a pipeline names, as `count@1`.
pub fn find(name: &str) -> Option<&'static StdStage> {
    let (name, version) = name.split_once('@')?;
    let version: u32 = version.parse().ok()?;
    STAGES.iter().find(|stage| stage.name == name && stage.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_found_by_name_and_version() {
        let count = find("count@1").expect("count is a standard stage");
        assert!(count.component.starts_with(b"\0asm"));
        assert!(find("count").is_none() && find("count@2").is_none() && find("nothing@1").is_none());
    }

    #[test]
    fn all_standard_stages_are_there() {
        let names: Vec<_> = stages().iter().map(|stage| stage.name).collect();
        let all = [
            "aggregate",
            "assert",
            "cast",
            "count",
            "dedup",
            "explode",
            "fill-null",
            "filter",
            "generate",
            "lookup",
            "parse-json",
            "select",
            "sort",
            "tokenize",
            "union",
        ];
        assert_eq!(names, all);
    }
}
