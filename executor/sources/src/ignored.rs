//! What records hold and no column takes, counted while rows are read: nothing is left out without a word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many names of one object are told apart. Objects with more have keys in place of names.
const MOST_NAMES: usize = 100;

/// Members of a file's records that no column takes. The file's columns are what they are in other formats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// By the path of the object that has the members, which ends with a dot (`user.`, `items[].`) and is empty for the
    /// record itself.
    objects: BTreeMap<String, Members>,
}

/// Members of the objects in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Members {
    /// Rows in which such an object has any.
    rows: u64,
    /// By name, the rows that have the member; at most one more than [`MOST_NAMES`].
    names: BTreeMap<String, u64>,
}

impl Ignored {
    /// Adds members of the objects in one place, and the rows in which there are any.
    pub(crate) fn add(&mut self, path: &str, rows: u64, names: impl IntoIterator<Item = (String, u64)>) {
        if rows > 0 {
            self.objects.entry(path.to_owned()).or_default().add(rows, names);
        }
    }

    /// Adds what was left out elsewhere in the file.
    pub fn extend(&mut self, other: &Self) {
        for (path, members) in &other.objects {
            let names = members.names.iter().map(|(name, rows)| (name.clone(), *rows));
            self.add(path, members.rows, names);
        }
    }

    /// Forgets what objects in other places have.
    #[cfg(feature = "kafka")]
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.objects.retain(|path, _| is_kept(path));
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The path of each member, and the number of rows that have it. Where an object has more than 100 of them, they are
    /// one (`user.*`).
    pub fn members(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        self.objects.iter().flat_map(|(path, members)| {
            let has_keys = members.names.len() > MOST_NAMES;
            let all = has_keys.then(|| (format!("{path}*"), members.rows));
            let each = members.names.iter().filter(move |_| !has_keys);
            all.into_iter().chain(each.map(move |(name, rows)| (format!("{path}{name}"), *rows)))
        })
    }
}

impl Members {
    fn add(&mut self, rows: u64, names: impl IntoIterator<Item = (String, u64)>) {
        self.rows += rows;
        for (name, rows) in names {
            *self.names.entry(name).or_default() += rows;
        }
        while self.names.len() > MOST_NAMES + 1 {
            self.names.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ignored: &Ignored) -> Vec<String> {
        ignored.members().map(|(path, rows)| format!("{path} {rows}")).collect()
    }

    #[test]
    fn members_are_counted_by_their_path() {
        let mut ignored = Ignored::default();
        ignored.add("", 0, []);
        assert!(ignored.is_empty());
        ignored.add("", 2, [("b".to_owned(), 1), ("a".to_owned(), 2)]);
        let mut all = ignored.clone();
        all.add("m.", 1, [("x".to_owned(), 1)]);
        all.extend(&ignored);
        assert_eq!(told(&all), ["a 4", "b 2", "m.x 1"]);
    }

    #[test]
    fn keys_are_told_together_whatever_the_order_in_which_they_come() {
        let keys = |range: std::ops::Range<u32>| range.map(|key| (format!("k{key}"), 1));
        let mut ignored = Ignored::default();
        ignored.add("m.", 90, keys(0..90));
        assert_eq!(told(&ignored).len(), 90);
        let mut other = Ignored::default();
        other.add("m.", 5000, keys(40..5000));
        ignored.extend(&other);
        assert_eq!(told(&ignored), ["m.* 5090"]);
        other.extend(&Ignored::default());
        assert_eq!(told(&other), ["m.* 5000"]);
    }
}
