//! Which rows of a dataset a place that rows are appended to has already.
//!
//! It keeps what was appended. So the segments that were written stay written, in whatever order the dataset has them now. A segment
//! that is new may begin with the rows of some that are gone, as the last one of a file does that has grown; then only the rest is new
//! ([`ToldRows`](crate::told::ToldRows)). A segment that is gone otherwise has changed, and its rows can't be taken back.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A segment whose rows were appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Appended {
    /// Identity of the rows and of what is made of them.
    pub(crate) digest: [u8; 32],
    /// Number of records.
    pub(crate) rows: u64,
    /// BLAKE3 of the records.
    pub(crate) records: [u8; 32],
}

/// What a dataset's segments are to such a place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Matching {
    /// By the dataset's segments: which of those that were appended it is, if it is one.
    pub(crate) kept: Vec<Option<usize>>,
    /// Those with rows that were appended and that the dataset does not have, ascending.
    pub(crate) lost: Vec<usize>,
}

impl Matching {
    /// Holds what was appended against a dataset. Of segments that are equal each is counted.
    pub(crate) fn new(before: &[Appended], digests: &[[u8; 32]]) -> Self {
        let mut by_digest: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
        for (i, appended) in before.iter().enumerate().rev() {
            by_digest.entry(appended.digest).or_default().push(i);
        }
        let kept = digests.iter().map(|digest| by_digest.get_mut(digest).and_then(Vec::pop)).collect();
        let mut lost: Vec<usize> = by_digest.into_values().flatten().collect();
        lost.retain(|&i| before[i].rows > 0);
        lost.sort_unstable();
        Self { kept, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(digest: u8, rows: u64) -> Appended {
        Appended { digest: [digest; 32], rows, records: [digest + 100; 32] }
    }

    #[test]
    fn segments_are_kept_wherever_they_are_now() {
        let before = [appended(1, 5), appended(2, 5), appended(1, 5), appended(3, 9), appended(5, 0)];
        let matching = Matching::new(&before, &[[2; 32], [4; 32], [1; 32]]);
        assert_eq!(matching, Matching { kept: vec![Some(1), None, Some(0)], lost: vec![2, 3] });
    }
}
