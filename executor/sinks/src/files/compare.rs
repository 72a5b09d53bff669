//! What is to be written, against what lies there already.

use flowc_planner::plan::SinkSpec;
use flowc_platform::FileStamp;

use crate::error::SinkError;
use crate::files::names;
use crate::sink::Job;
use crate::state::{SinkSegment, SinkState, WrittenFile};

/// All jobs of a sink: one per segment in a folder, else one that is named `single`.
pub(crate) fn jobs(spec: &SinkSpec, single: &str, segments: &[SinkSegment]) -> Vec<Job> {
    if !spec.is_folder() {
        return vec![Job { segments: (0..segments.len()).collect(), name: single.to_owned() }];
    }
    let names = names::file_names(spec, segments).into_iter().enumerate();
    names.map(|(i, name)| Job { segments: vec![i], name }).collect()
}

/// Sorts jobs into those whose files are kept and those that have work. `name` is that of a job among the earlier ones; `verified` gives
/// the stamp of a file that still holds what was written.
pub(crate) fn compare(
    jobs: Vec<Job>,
    segments: &[SinkSegment],
    mut earlier: Earlier<'_>,
    name: &dyn Fn(&Job) -> &str,
    verified: &dyn Fn(&WrittenFile) -> Result<Option<FileStamp>, SinkError>,
) -> Result<(Vec<WrittenFile>, Vec<Job>), SinkError> {
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for job in jobs {
        match kept_files(segments, &job, earlier.of(name(&job)), verified)? {
            Some(files) => kept.extend(files),
            None => left.push(job),
        }
    }
    Ok((kept, left))
}

/// The files that are known, sorted by the names of their jobs.
pub(crate) struct Earlier<'a> {
    files: Vec<(&'a str, &'a WrittenFile)>,
    /// Where the files of the next job probably are: jobs mostly come in the order of their names.
    next: usize,
}

impl<'a> Earlier<'a> {
    /// Those of a state. `name` is that of a file's job.
    pub(crate) fn new(known: Option<&'a SinkState>, name: impl Fn(&'a WrittenFile) -> &'a str) -> Self {
        let files = known.into_iter().flat_map(|state| &state.files);
        let mut files: Vec<_> = files.map(|file| (name(file), file)).collect();
        files.sort_by_key(|(name, _)| *name);
        Self { files, next: 0 }
    }

    /// The files of the job of this name.
    fn of(&mut self, name: &str) -> &[(&'a str, &'a WrittenFile)] {
        let is_next = self.files.get(self.next).is_some_and(|(next, _)| *next == name)
            && self.files[..self.next].last().is_none_or(|(before, _)| *before != name);
        let from = if is_next { self.next } else { self.files.partition_point(|(other, _)| *other < name) };
        self.next = from + self.files[from..].iter().take_while(|(other, _)| *other == name).count();
        &self.files[from..self.next]
    }
}

/// The files of a job as they lie there, if they are what the job would write.
fn kept_files(
    segments: &[SinkSegment],
    job: &Job,
    earlier: &[(&str, &WrittenFile)],
    verified: &dyn Fn(&WrittenFile) -> Result<Option<FileStamp>, SinkError>,
) -> Result<Option<Vec<WrittenFile>>, SinkError> {
    let wanted = || job.segments.iter().map(|&i| &segments[i].digest);
    let mut kept = Vec::with_capacity(earlier.len());
    for &(_, file) in earlier {
        let unchanged = file.segments.iter().eq(wanted());
        match unchanged.then(|| verified(file)).transpose()?.flatten() {
            Some(stamp) => kept.push(WrittenFile { stamp, ..file.clone() }),
            None => return Ok(None),
        }
    }
    Ok(Some(kept).filter(|kept| !kept.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_name(file: &WrittenFile) -> &str {
        file.path.rsplit('/').next().unwrap_or_default()
    }

    #[test]
    fn files_are_found_by_the_names_of_their_jobs_in_any_order() {
        let file = |path: &str| WrittenFile {
            path: path.to_owned(),
            stamp: FileStamp { size: 1, modified_ns: 1, changed_ns: 1, inode: 1, device: 1 },
            segments: Vec::new(),
            rows: 1,
            bytes_digest: [0; 32],
        };
        let files = ["k=1/a.csv", "k=1/b.csv", "k=2/a.csv", "k=2/c.csv"].map(file).to_vec();
        let state = SinkState { result: [0; 32], layout: [0; 32], files, manifest: None };

        let found = |names: &[&str]| -> Vec<Vec<String>> {
            let mut earlier = Earlier::new(Some(&state), last_name);
            let paths = |files: &[(&str, &WrittenFile)]| files.iter().map(|(_, file)| file.path.clone()).collect();
            names.iter().map(|name| paths(earlier.of(name))).collect()
        };
        let (a, b, c) = (["k=1/a.csv", "k=2/a.csv"], ["k=1/b.csv"], ["k=2/c.csv"]);
        assert_eq!(found(&["a.csv", "b.csv", "c.csv"]), [&a[..], &b, &c]);
        assert_eq!(found(&["a.csv", "new.csv", "c.csv", "c.csv"]), [&a[..], &[], &c, &c]);
        assert_eq!(found(&["c.csv", "b.csv", "a.csv", "a.csv", "b.csv"]), [&c[..], &b, &a, &a, &b]);
        assert!(Earlier::new(None, last_name).of("a.csv").is_empty());
    }
}
