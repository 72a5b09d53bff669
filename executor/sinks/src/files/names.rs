//! Names of a folder's files, one per segment.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use flowc_planner::plan::SinkSpec;

use crate::state::SinkSegment;

/// Bytes of a source file's stem that are kept, so that no name becomes too long for a file system.
const STEM_BYTES: usize = 180;

/// A file name per segment, all different.
///
/// `a/part1.csv` gives `part1.parquet`; several segments of one file give `part1-0001.parquet` and so on; segments
/// without a file give `part-00000.parquet` and so on. Files whose names would meet get a suffix from their path.
pub(crate) fn file_names(spec: &SinkSpec, segments: &[SinkSegment]) -> Vec<String> {
    let ending = spec.ending();
    let mut suffixes: HashMap<&str, usize> = HashMap::new();
    for digits in [8, 64, 64] {
        let stems = stems(segments, &suffixes);
        let meeting = meeting_sources(segments, &stems);
        if meeting.is_empty() {
            return stems.into_iter().map(|stem| [&*stem, &ending].concat()).collect();
        }
        suffixes.extend(meeting.into_iter().map(|name| (name, digits)));
    }
    // Only names made to meet come here: the position keeps them apart.
    (0..segments.len()).map(|i| format!("part-{i:05}{ending}")).collect()
}

/// The names without their ending. `suffixes` says how many digits of its path's hash a source gets. Segments of one source are
/// neighbours.
fn stems<'a>(segments: &'a [SinkSegment], suffixes: &HashMap<&str, usize>) -> Vec<Cow<'a, str>> {
    let mut stems = Vec::with_capacity(segments.len());
    for of_source in segments.chunk_by(|a, b| a.name == b.name) {
        let numbers = 1..=of_source.len();
        let Some(name) = of_source[0].name.as_deref() else {
            stems.extend(numbers.map(|number| Cow::Owned(format!("part-{:05}", number - 1))));
            continue;
        };
        let mut stem = Cow::Borrowed(source_stem(name));
        if let Some(&digits) = suffixes.get(name) {
            stem = Cow::Owned(format!("{stem}-{}", &blake3::hash(name.as_bytes()).to_hex()[..digits]));
        }
        match of_source.len() {
            1 => stems.push(stem),
            _ => stems.extend(numbers.map(|number| Cow::Owned(format!("{stem}-{number:04}")))),
        }
    }
    stems
}

/// A file's name without folders, compression ending and format ending.
fn source_stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let plain = file.strip_suffix(".gz").or_else(|| file.strip_suffix(".zst")).unwrap_or(file);
    let stem = Path::new(plain).file_stem().and_then(|stem| stem.to_str()).unwrap_or("part");
    let mut end = stem.len().min(STEM_BYTES);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    if end == 0 { "part" } else { &stem[..end] }
}

/// The sources that have a name which another segment has too.
fn meeting_sources<'a>(segments: &'a [SinkSegment], stems: &[Cow<'_, str>]) -> BTreeSet<&'a str> {
    if stems.is_sorted_by(|a, b| a < b) {
        return BTreeSet::new();
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for stem in stems {
        *counts.entry(stem).or_default() += 1;
    }
    let meets = segments.iter().zip(stems).filter(|(_, stem)| counts[&***stem] > 1);
    meets.filter_map(|(segment, _)| segment.name.as_deref()).collect()
}
