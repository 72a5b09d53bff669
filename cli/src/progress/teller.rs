//! Tells of a run in a thread of its own, so that a reader who is slow, or does not read at all, keeps no thread of the run waiting.
//!
//! Lines wait in a [`Backlog`]. Of the bar only its last state counts.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use flowc_platform::lock;

use super::backlog::{Backlog, Worth};
use super::bar::{Bar, View};

/// Writes lines to their reader.
type Write = dyn Fn(&[u8]) -> io::Result<()> + Send;

/// Hands lines to a thread that writes them, from the first line on.
pub(super) struct Teller {
    shared: Arc<Shared>,
    /// What the thread is started with.
    start: Mutex<Option<(Option<Bar>, Box<Write>)>>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    /// Something is to be told, or has been.
    changed: Condvar,
}

struct Waiting {
    backlog: Backlog,
    view: Option<View>,
    /// Whether the thread is telling something.
    is_busy: bool,
    /// Whether the thread has an end to come to.
    is_over: bool,
    /// Why the reader took no more.
    unwritten: Option<io::Error>,
}

impl Teller {
    /// Tells nothing yet. What can't be written is the last that is tried: what followed would hide the gap.
    pub(super) fn new(bar: Option<Bar>, write: impl Fn(&[u8]) -> io::Result<()> + Send + 'static) -> Self {
        let waiting = Waiting { backlog: Backlog::new(), view: None, is_busy: false, is_over: false, unwritten: None };
        let shared = Arc::new(Shared { waiting: Mutex::new(waiting), changed: Condvar::new() });
        Self { shared, start: Mutex::new(Some((bar, Box::new(write)))) }
    }

    /// Has something told, if there is something.
    pub(super) fn tell(&self, line: Option<Vec<u8>>, worth: Worth, view: Option<View>) {
        if line.is_none() && view.is_none() {
            return;
        }
        let start = lock(&self.start).take();
        let started = start.map_or(Ok(()), |(bar, write)| self.start(bar, write));
        let mut waiting = lock(&self.shared.waiting);
        waiting.unwritten = waiting.unwritten.take().or(started.err());
        if waiting.unwritten.is_none() {
            line.into_iter().for_each(|line| waiting.backlog.push(line, worth));
            waiting.view = view.or(waiting.view.take());
            self.shared.changed.notify_all();
        }
    }

    fn start(&self, bar: Option<Bar>, write: Box<Write>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("telling".to_owned());
        thread.spawn(move || shared.tell(bar, &*write)).map(drop)
    }

    /// Waits until all has been told.
    pub(super) fn drain(&self) {
        let waiting = lock(&self.shared.waiting);
        drop(self.shared.changed.wait_while(waiting, |waiting| !waiting.is_idle()));
    }

    /// Waits until all has been told, but no longer than a person would see.
    pub(super) fn drain_briefly(&self) {
        let waiting = lock(&self.shared.waiting);
        let patience = Duration::from_millis(200);
        drop(self.shared.changed.wait_timeout_while(waiting, patience, |waiting| !waiting.is_idle()));
    }

    /// Why something could not be written, if it could not.
    pub(super) fn unwritten(&self) -> Option<io::Error> {
        lock(&self.shared.waiting).unwritten.take()
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        lock(&self.shared.waiting).is_over = true;
        self.shared.changed.notify_all();
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.unwritten.is_some() || (!self.is_busy && self.view.is_none() && self.backlog.is_empty())
    }
}

impl Shared {
    fn tell(&self, bar: Option<Bar>, write: &Write) {
        while let Some((lines, view)) = self.next() {
            let written = lines.map_or(Ok(()), |lines| match &bar {
                Some(bar) => bar.suspend(|| write(&lines)),
                None => write(&lines),
            });
            if let (Some(bar), Some(view)) = (&bar, view) {
                bar.draw(view);
            }
            let mut waiting = self.lock();
            waiting.unwritten = waiting.unwritten.take().or(written.err());
            waiting.is_busy = false;
            self.changed.notify_all();
        }
    }

    /// What is to be told next; none when there will be nothing more.
    fn next(&self) -> Option<(Option<Vec<u8>>, Option<View>)> {
        let mut waiting = self.lock();
        loop {
            let next = (waiting.backlog.pop(), waiting.view.take());
            if next.0.is_some() || next.1.is_some() {
                waiting.is_busy = true;
                return Some(next);
            }
            if waiting.is_over {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Lets a line be read, and has the lines that were.
    type Reads = (Sender<()>, Receiver<Vec<u8>>);

    /// A reader that takes a line when it is told to.
    fn reader() -> (Reads, impl Fn(&[u8]) -> io::Result<()> + Send + 'static) {
        let (may_read, reads) = channel();
        let (read, has_read) = channel();
        let write = move |line: &[u8]| {
            reads.recv().map_err(|_| io::Error::other("the reader has gone"))?;
            read.send(line.to_vec()).map_err(io::Error::other)
        };
        ((may_read, has_read), write)
    }

    #[test]
    fn whoever_tells_does_not_wait_for_the_reader() {
        let ((may_read, has_read), write) = reader();
        let teller = Teller::new(None, write);
        (0..1000).for_each(|number| teller.tell(Some(format!("{number}\n").into_bytes()), Worth::Progress, None));
        assert!(has_read.try_recv().is_err());
        (0..1000).for_each(|_| may_read.send(()).unwrap());
        teller.drain();
        let lines: Vec<u8> = has_read.try_iter().flatten().collect();
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
    }

    #[test]
    fn after_a_line_that_cannot_be_written_nothing_is_tried() {
        let ((may_read, has_read), write) = reader();
        let teller = Teller::new(None, write);
        may_read.send(()).unwrap();
        drop(may_read);
        (0..3).for_each(|_| teller.tell(Some(b"a\n".to_vec()), Worth::Kept, None));
        teller.drain();
        assert_eq!(has_read.try_iter().count(), 1);
        assert!(teller.unwritten().is_some());
    }
}
