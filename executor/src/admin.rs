//! Looking after a store.

use std::path::Path;

use flowc_store::{Damage, GcReport, Info, Store};

use crate::Error;
use crate::history::{self, Pin, kept};

/// What a store holds.
pub fn info(store: &Path) -> Result<Info, Error> {
    Ok(Store::open(store)?.info()?)
}

/// Reads everything and compares it with its digests. With `repair`, damaged results are dropped; the next run that
/// needs them makes them again.
pub fn verify(store: &Path, repair: bool) -> Result<Vec<Damage>, Error> {
    Ok(Store::open(store)?.verify(repair)?)
}

/// Lets go of a pinned run: `gc` may then remove what it alone needs.
pub fn unpin(store: &Path, name: &str) -> Result<(), Error> {
    let store = Store::open(store)?;
    history::unpin(&store, name)?;
    Ok(store.flush()?)
}

/// The pinned runs, by name.
pub fn pins(store: &Path) -> Result<Vec<Pin>, Error> {
    history::pins(&Store::open(store)?)
}

/// Removes all results but those of each pipeline's last good run and of pinned runs. Waits for runs that are under way.
pub fn gc(store: &Path, dry_run: bool) -> Result<GcReport, Error> {
    let (columns, rows) = kept(&Store::open(store)?)?;
    Ok(Store::gc(store, &columns, &rows, dry_run)?)
}
