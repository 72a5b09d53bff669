//! A connection that waits while rows are made, so that who writes them need not connect again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flowc_adbc::{Connection, Vendor};
use flowc_platform::lock;

/// How many connections wait at once.
const MOST: usize = 8;
/// How long one waits. Servers, and what is between, forget those that say nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections of this process that wait now.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A connection that waits, or none.
#[derive(Default)]
pub(super) struct Idle(Mutex<Option<Waiting>>);

struct Waiting {
    connection: Connection,
    since: Instant,
    _seat: Seat,
}

/// The right of a connection to wait: there are [`MOST`] of them.
struct Seat;

impl Seat {
    fn take() -> Option<Self> {
        let add = |waiting: usize| Some(waiting + 1).filter(|sum| *sum <= MOST);
        WAITING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok().then(|| Self)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Idle {
    /// Has a connection wait, if its database is a server: files of others are open in one process at a time, or locked.
    pub(super) fn keep(&self, connection: Connection) {
        let seat = if *connection.vendor() == Vendor::PostgreSql { Seat::take() } else { None };
        *lock(&self.0) = seat.map(|seat| Waiting { connection, since: Instant::now(), _seat: seat });
    }

    /// The connection, unless it has waited for too long. It may be lost all the same.
    pub(super) fn take(&self) -> Option<Connection> {
        let waiting = lock(&self.0).take();
        waiting.filter(|waiting| waiting.since.elapsed() < PATIENCE).map(|waiting| waiting.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_and_no_more() {
        let seats: Vec<_> = (0..MOST).map_while(|_| Seat::take()).collect();
        assert_eq!(seats.len(), MOST);
        assert!(Seat::take().is_none());
        drop(seats);
        assert!(Seat::take().is_some());
    }
}
