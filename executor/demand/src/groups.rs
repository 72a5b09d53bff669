//! Keys of the groups into which the rows of a keyed input are partitioned.

use flowc_planner::key::{KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::KeyGroups;

/// The keys of the rows of a segment that are in a group.
pub fn group_keys(segment: &SegmentKeys, key: &KeyGroups, group: u64) -> SegmentKeys {
    let KeyGroups { columns: key_columns, groups, hash } = key;
    let SegmentKeys { rows, columns } = segment;
    let mut hasher = KeyHasher::new("flowc key group 2");
    hasher.bytes(hash.as_bytes()).number(*groups).number(group);
    hasher.digest(rows.as_bytes()).number(key_columns.len() as u64);
    for &column in key_columns {
        hasher.digest(columns[column].as_bytes());
    }
    let rows = RowsKey::new(hasher.finish());
    SegmentKeys { rows, columns: columns.iter().map(|column| column.selected(&rows)).collect() }
}
