//! Keys of the groups into which the rows of a keyed input are parted.

use flowc_planner::key::{KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::KeyGroups;

/// The keys of the rows of a segment that are in a group.
pub fn group_keys(segment: &SegmentKeys, key: &KeyGroups, group: u64) -> SegmentKeys {
    let mut hasher = KeyHasher::new("flowc key group 2");
    hasher.bytes(key.hash.as_bytes()).number(key.groups).number(group);
    hasher.digest(segment.rows.as_bytes()).number(key.columns.len() as u64);
    for &key in &key.columns {
        hasher.digest(segment.columns[key].as_bytes());
    }
    let rows = RowsKey::new(hasher.finish());
    SegmentKeys { rows, columns: segment.columns.iter().map(|column| column.selected(&rows)).collect() }
}
