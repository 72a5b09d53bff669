//! From patterns to objects.

use std::collections::HashSet;

use flowc_objects::{Bucket, Object, ObjectError};
use flowc_planner::pattern::{Pattern, folder_and_rest, is_glob};
use flowc_planner::plan::ObjectAddress;

use crate::objects::folders::{committed, is_manifest};

/// The objects of a bucket that a pattern matches, in byte order of their keys. Names are matched as those of files are.
pub(super) fn matches(bucket: &dyn Bucket, pattern: &ObjectAddress) -> Result<Vec<Object>, ObjectError> {
    if pattern.scheme.is_web() || !is_glob(&pattern.key) {
        return Ok(vec![bucket.find(&pattern.key)?]);
    }
    let (folder, rest) = folder_and_rest(&pattern.key);
    let matcher = Pattern::new(&pattern.key).map_err(|reason| ObjectError::Other { reason })?;
    let is_deep = rest.contains('/') || rest == "**";
    for _ in 0..LISTINGS {
        let (mut found, mut manifests) = (Vec::new(), Vec::new());
        bucket.list(folder, is_deep, &mut |object| {
            if matcher.matches(&object.key) {
                found.push(object);
            } else if is_manifest(&object.key) {
                manifests.push(object);
            }
        })?;
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        if let Some(found) = committed(bucket, found, &manifests, &matcher)? {
            return Ok(without_folders(found));
        }
    }
    Err(ObjectError::Changed)
}

/// How often a folder is listed that a sink changes meanwhile.
const LISTINGS: usize = 5;

/// Leaves out empty objects that stand for folders, which consoles and file systems over buckets make.
fn without_folders(mut found: Vec<Object>) -> Vec<Object> {
    if found.iter().all(|object| object.size > 0) {
        return found;
    }
    let above =
        |object: &Object| object.key.match_indices('/').map(|(at, _)| object.key[..at].to_owned()).collect::<Vec<_>>();
    let folders: HashSet<String> = found.iter().flat_map(above).collect();
    found.retain(|object| object.size > 0 || !folders.contains(&object.key));
    found
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::ObjectScheme;

    use super::*;
    use crate::objects::testing::Memory;

    fn matched(bucket: &Memory, key: &str) -> Vec<String> {
        let pattern = ObjectAddress { scheme: ObjectScheme::S3, bucket: "b".to_owned(), key: key.to_owned() };
        matches(bucket, &pattern).unwrap().into_iter().map(|object| object.key).collect()
    }

    #[test]
    fn keys_are_matched_as_files_are() {
        let keys = ["b.csv", "a.csv", "a.txt", ".hidden.csv", "x/c.csv", "x/y/d.csv", "x/.git/e.csv", "x-y/c.csv"];
        let bucket = Memory::new(keys.map(|key| (key, "text")));
        assert_eq!(matched(&bucket, "*.csv"), ["a.csv", "b.csv"]);
        assert_eq!(matched(&bucket, "**/*.csv"), ["a.csv", "b.csv", "x-y/c.csv", "x/c.csv", "x/y/d.csv"]);
        assert_eq!(matched(&bucket, "x/**"), ["x/c.csv", "x/y/d.csv"]);
        assert_eq!(matched(&bucket, "x*/c.{csv,tsv}"), ["x-y/c.csv", "x/c.csv"]);
        assert_eq!(matched(&bucket, "x/.git/*"), ["x/.git/e.csv"]);
        assert_eq!(matched(&bucket, "x/c.csv"), ["x/c.csv"]);
        assert_eq!(matched(&bucket, "none/*"), [""; 0]);
    }

    #[test]
    fn empty_objects_that_stand_for_folders_are_left_out() {
        let bucket = Memory::new([("x", ""), ("x/y", ""), ("x/y/a.csv", "text"), ("x/empty.csv", ""), ("z", "")]);
        assert_eq!(matched(&bucket, "**"), ["x/empty.csv", "x/y/a.csv", "z"]);
    }

    #[test]
    fn only_the_folder_of_a_pattern_is_listed() {
        let bucket = Memory::new([("x/c.csv", "text"), ("x/y/d.csv", "text"), ("z.csv", "text")]);
        matched(&bucket, "x/*.csv");
        matched(&bucket, "x/*/d.csv");
        assert_eq!(bucket.listed(), ["x/ shallow", "x/ deep"]);
    }
}
