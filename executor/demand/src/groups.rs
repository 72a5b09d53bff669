//! Keys of the parts into which the rows of an input are divided: groups of keys, windows, or groups of keys that have sessions.

use flowc_planner::key::{KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{KeyGroups, Window};

use crate::windows::{Beginning, groups_of_keys};

/// A part of the rows of each segment of an input, which belongs to one invocation.
#[derive(Clone, Copy, Debug)]
pub enum Part<'p> {
    /// The rows of a group of keys.
    Group {
        /// How rows are grouped.
        key: &'p KeyGroups,
        /// The number of the group.
        group: u64,
    },
    /// The rows of a window.
    Window {
        /// Which windows there are.
        window: &'p Window,
        /// The number of the window.
        number: i64,
    },
    /// The rows of a group of keys, whose windows are made by rows: sessions, or so many rows each.
    Sessions {
        /// Which windows there are.
        window: &'p Window,
        /// The number of the group.
        group: u64,
        /// Where the segments begin in their partitions.
        beginnings: &'p [Beginning],
    },
}

impl Part<'_> {
    /// The columns that decide which rows of a segment are in it.
    pub fn columns(&self) -> Vec<usize> {
        match self {
            Part::Group { key, .. } => key.columns.clone(),
            Part::Window { window, .. } | Part::Sessions { window, .. } => window.columns(),
        }
    }

    /// The keys of the rows of a segment that are in it.
    pub fn keys(&self, segment: usize, keys: &SegmentKeys) -> SegmentKeys {
        match self {
            Part::Group { key, group } => group_keys(keys, key, *group),
            Part::Window { window, number } => window_keys(keys, window, *number),
            Part::Sessions { window, group, beginnings } => {
                let grouped = group_keys(&beginnings[segment].placed(keys), &groups_of_keys(window), *group);
                let SegmentKeys { rows, columns } = window_keys(keys, window, *group as i64);
                let mut hasher = KeyHasher::new("flowc sessions 1");
                hasher.digest(rows.as_bytes()).digest(grouped.rows.as_bytes());
                selected(&columns, RowsKey::new(hasher.finish()))
            }
        }
    }

    /// The columns whose content decides what an invocation does, beside those that the stage reads: rows make sessions.
    pub fn deciding_columns(&self) -> Vec<usize> {
        match self {
            Part::Group { .. } | Part::Window { .. } => Vec::new(),
            Part::Sessions { window, .. } => window.columns(),
        }
    }
}

/// The keys of the rows of a segment that are in a group.
pub(crate) fn group_keys(segment: &SegmentKeys, key: &KeyGroups, group: u64) -> SegmentKeys {
    let KeyGroups { columns: key_columns, groups, hash } = key;
    let SegmentKeys { rows, columns } = segment;
    let mut hasher = KeyHasher::new("flowc key group 2");
    hasher.bytes(hash.as_bytes()).number(*groups).number(group);
    hasher.digest(rows.as_bytes()).number(key_columns.len() as u64);
    for &column in key_columns {
        hasher.digest(columns[column].as_bytes());
    }
    selected(columns, RowsKey::new(hasher.finish()))
}

fn window_keys(segment: &SegmentKeys, window: &Window, number: i64) -> SegmentKeys {
    let SegmentKeys { rows, columns } = segment;
    let mut hasher = KeyHasher::new("flowc window 1");
    window.hash_into(&mut hasher);
    hasher.number(number as u64).digest(rows.as_bytes());
    if let Some(time) = window.time {
        hasher.digest(columns[time.column].as_bytes());
    }
    // How the rows were in the source decides which of them are late.
    if let Some(marks) = window.marks() {
        hasher.digest(columns[marks.before].as_bytes());
    }
    selected(columns, RowsKey::new(hasher.finish()))
}

fn selected(columns: &[flowc_planner::key::ColumnKey], rows: RowsKey) -> SegmentKeys {
    SegmentKeys { rows, columns: columns.iter().map(|column| column.selected(&rows)).collect() }
}
