//! Databases that one process may have open at a time, such as files of DuckDB: connections of this process wait for each other.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use flowc_platform::lock;

static OPEN: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);
static CLOSED: Condvar = Condvar::new();

/// A database that nobody else of this process has open while this lives.
#[derive(Debug)]
pub(crate) struct Alone(PathBuf);

impl Alone {
    /// Waits until nobody has the database open. Whoever has one open must not ask for it again.
    pub(crate) fn with(path: &Path) -> Self {
        let open = lock(&OPEN);
        let mut open = CLOSED.wait_while(open, |open| open.contains(path)).unwrap_or_else(PoisonError::into_inner);
        open.insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        lock(&OPEN).remove(&self.0);
        CLOSED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_has_a_database_at_a_time_and_others_are_not_waited_for() {
        let (one, other) = (Path::new("/alone/one.db"), Path::new("/alone/other.db"));
        let having = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _alone = Alone::with(one);
                    assert_eq!(having.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    having.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        let _held = Alone::with(one);
        drop(Alone::with(other));
    }
}
