//! Lines that wait for their reader, in order: some in memory, the rest in a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// So many bytes wait in memory.
const IN_MEMORY: usize = 1 << 20;
/// So many bytes are taken from the file at once.
const AT_ONCE: usize = 64 << 10;

/// What becomes of a line where even the file has no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It waits in memory: there are few such lines.
    Kept,
    /// It is dropped: the end of the run tells the same.
    Progress,
}

/// Lines, first come first served.
pub(super) struct Backlog {
    limit: usize,
    first: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Those after the first.
    file: Option<Spilled>,
    /// Those after the ones in the file, which took no more.
    last: VecDeque<Vec<u8>>,
    make: fn() -> io::Result<File>,
}

/// A file without a name, of which the bytes from `read` to `written` wait.
struct Spilled {
    file: File,
    read: u64,
    written: u64,
}

impl Backlog {
    /// Nothing waits.
    pub(super) fn new() -> Self {
        Self::with(IN_MEMORY, tempfile::tempfile)
    }

    fn with(limit: usize, make: fn() -> io::Result<File>) -> Self {
        Self { limit, first: VecDeque::new(), bytes: 0, file: None, last: VecDeque::new(), make }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.file.is_none() && self.last.is_empty()
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: Vec<u8>, worth: Worth) {
        let fits = self.bytes + line.len() <= self.limit && self.file.is_none() && self.last.is_empty();
        if fits {
            self.bytes += line.len();
            self.first.push_back(line);
        } else if (!self.last.is_empty() || self.spill(&line).is_err()) && worth == Worth::Kept {
            self.last.push_back(line);
        }
    }

    fn spill(&mut self, line: &[u8]) -> io::Result<()> {
        let spilled = match &mut self.file {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: (self.make)()?, read: 0, written: 0 }),
        };
        spilled.file.write_all_at(line, spilled.written)?;
        spilled.written += line.len() as u64;
        Ok(())
    }

    /// Takes what is to be written next: a line, or several and parts of lines.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        if let Some(line) = self.first.pop_front() {
            self.bytes -= line.len();
            return Some(line);
        }
        self.unspilled().or_else(|| self.last.pop_front())
    }

    fn unspilled(&mut self) -> Option<Vec<u8>> {
        let spilled = self.file.as_mut()?;
        let mut bytes = vec![0; AT_ONCE.min((spilled.written - spilled.read) as usize)];
        let read = spilled.file.read_exact_at(&mut bytes, spilled.read);
        spilled.read += bytes.len() as u64;
        // What can't be read again is lost: the numbers of events show that there is a gap.
        if read.is_err() || spilled.read == spilled.written {
            self.file = None;
        }
        (read.is_ok() && !bytes.is_empty()).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Vec<u8> {
        format!("line {number}\n").into_bytes()
    }

    fn all(backlog: &mut Backlog) -> String {
        let bytes: Vec<u8> = std::iter::from_fn(|| backlog.pop()).flatten().collect();
        String::from_utf8(bytes).unwrap()
    }

    fn lines(numbers: impl IntoIterator<Item = usize>) -> String {
        numbers.into_iter().map(|number| String::from_utf8(line(number)).unwrap()).collect()
    }

    #[test]
    fn lines_come_out_in_order_wherever_they_wait() {
        let mut backlog = Backlog::with(100, tempfile::tempfile);
        (0..20_000).for_each(|number| backlog.push(line(number), Worth::Progress));
        assert!(backlog.bytes <= 100 && backlog.file.is_some());
        assert_eq!(backlog.pop(), Some(line(0)));
        (20_000..20_010).for_each(|number| backlog.push(line(number), Worth::Kept));
        assert_eq!(all(&mut backlog), lines(1..20_010));
        backlog.push(line(7), Worth::Progress);
        assert!(backlog.file.is_none(), "the file is gone with what was in it");
        assert_eq!(all(&mut backlog), lines([7]));
    }

    #[test]
    fn without_a_file_progress_goes_and_the_rest_is_kept() {
        let mut backlog = Backlog::with(20, || Err(io::ErrorKind::StorageFull.into()));
        for number in 0..10 {
            backlog.push(line(number), if number % 4 == 3 { Worth::Kept } else { Worth::Progress });
        }
        assert_eq!(all(&mut backlog), lines([0, 1, 3, 7]));
    }
}
