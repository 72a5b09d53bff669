//! What a program prints, kept until somebody asks.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use flowc_platform::lock;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionbio;

/// Lines that are kept, and bytes of a line.
const LINES: usize = 1000;
const WIDTH: usize = 8 << 10;

/// What a process printed that nobody asked for yet. A thread keeps its pipes from filling up.
#[derive(Clone, Default)]
pub struct Printed(Arc<Mutex<Streams>>);

#[derive(Default)]
struct Streams {
    streams: Vec<Stream>,
    lines: VecDeque<String>,
}

struct Stream {
    pipe: std::fs::File,
    /// The line that has not ended yet.
    line: Vec<u8>,
}

impl Printed {
    /// Listens to a pipe, in a thread that ends with it.
    ///
    /// # Errors
    /// If there can be no thread, or the pipe is none.
    pub fn listen(&self, pipe: OwnedFd) -> std::io::Result<()> {
        ioctl_fionbio(&pipe, true)?;
        let waiting = pipe.try_clone()?;
        let mut streams = self.lock();
        let place = streams.streams.len();
        streams.streams.push(Stream { pipe: pipe.into(), line: Vec::new() });
        drop(streams);
        let printed = self.clone();
        let thread = std::thread::Builder::new().name("flowc-output".to_owned());
        thread.spawn(move || while wait(&waiting) && printed.lock().read(place) {})?;
        Ok(())
    }

    /// All lines since this was asked last: what the process wrote before it said something else is among them.
    pub fn take(&self) -> Vec<String> {
        self.read().lines.drain(..).collect()
    }

    /// Whether there is such a line among those that nobody took yet.
    pub fn has(&self, is_such: impl Fn(&str) -> bool) -> bool {
        self.read().lines.iter().any(|line| is_such(line))
    }

    fn read(&self) -> MutexGuard<'_, Streams> {
        let mut streams = self.lock();
        for place in 0..streams.streams.len() {
            streams.read(place);
        }
        streams
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        lock(&self.0)
    }
}

impl Streams {
    /// Reads what is in a pipe. Says whether more can come.
    fn read(&mut self, place: usize) -> bool {
        let mut bytes = [0; WIDTH];
        loop {
            match self.streams[place].pipe.read(&mut bytes) {
                Ok(0) => {
                    self.end_line(place);
                    return false;
                }
                Ok(count) => self.add(place, &bytes[..count]),
                Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        }
    }

    fn add(&mut self, place: usize, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = &mut self.streams[place].line;
            // The rest of a long line is left out.
            line.extend_from_slice(&part[..part.len().min(WIDTH.saturating_sub(line.len()))]);
            if part.ends_with(b"\n") {
                self.end_line(place);
            }
        }
    }

    fn end_line(&mut self, place: usize) {
        let line = std::mem::take(&mut self.streams[place].line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(text.to_owned());
    }
}

/// Waits until there is something to read, or the end.
fn wait(pipe: impl AsFd) -> bool {
    loop {
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], None) {
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_written_is_there_at_once() {
        let (read, mut write) = std::io::pipe().unwrap();
        let printed = Printed::default();
        printed.listen(read.into()).unwrap();
        for number in 0..200 {
            write.write_all(format!("line {number}\n").as_bytes()).unwrap();
            assert!(printed.has(|line| line == format!("line {number}")));
            assert_eq!(printed.take(), [format!("line {number}")]);
        }
        write.write_all(b"and an end").unwrap();
        drop(write);
        assert_eq!(printed.take(), ["and an end"]);
    }

    #[test]
    fn the_pipe_never_fills_up() {
        let (read, mut write) = std::io::pipe().unwrap();
        let printed = Printed::default();
        printed.listen(read.into()).unwrap();
        write.write_all(&[b'x'; 1 << 20]).unwrap();
        for number in 0..5000 {
            writeln!(write, "line {number}").unwrap();
        }
        let lines = printed.take();
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (LINES, Some("line 4999")));
    }
}
