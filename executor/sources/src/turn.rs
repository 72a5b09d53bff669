//! Files that are written of what can be asked for once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flowc_platform::lock;

/// Files that are being written, so that each is asked for once.
static TURNS: Mutex<Option<HashMap<PathBuf, Arc<Mutex<()>>>>> = Mutex::new(None);

/// Locked by who writes a file.
pub(crate) fn turn(place: &Path) -> Arc<Mutex<()>> {
    lock(&TURNS).get_or_insert_default().entry(place.to_owned()).or_default().clone()
}
