//! The device that made results whose keys name none: those of kernels whose numbers the pipeline makes a claim of, so that whichever device made
//! them they are taken everywhere.

use flowc_planner::key::{KeyHasher, SegmentKeys};
use flowc_store::Store;

use crate::Error;
use crate::remembered::MADE_ON;

/// Notes which device made the results of these keys.
///
/// # Errors
/// If the store can't take it.
pub(crate) fn keep(store: &Store, keys: &SegmentKeys, device: &str) -> Result<(), Error> {
    Ok(store.remember(MADE_ON, &key(keys), &device)?)
}

/// The device that made the results of these keys, if that was noted.
///
/// # Errors
/// If the store can't be read.
pub(crate) fn device(store: &Store, keys: &SegmentKeys) -> Result<Option<String>, Error> {
    Ok(store.memo(MADE_ON, &key(keys))?)
}

fn key(keys: &SegmentKeys) -> [u8; 32] {
    let mut hasher = KeyHasher::new("made on 1");
    hasher.digest(keys.rows.as_bytes());
    keys.columns.iter().for_each(|column| {
        hasher.digest(column.as_bytes());
    });
    hasher.finish()
}
