//! The segment and rows of its input at which a stage failed.

use std::fmt;
use std::ops::Range;

/// The segment and the rows that a stage was working on when it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureSite {
    /// The segment, group or part of the invocation; none where it is not known.
    pub item: Option<WorkItem>,
    /// The input and its rows, counted from 0 within the invocation, that were handed over last.
    pub rows: Option<(String, Range<u64>)>,
}

/// The unit of work that one invocation of a stage stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkItem {
    /// A segment of a source's file, at the beginning of the stream that drives the stage.
    OfFile {
        /// Position in the file, from 0.
        segment: u32,
        /// The file.
        file: String,
        /// The stream.
        stream: String,
    },
    /// A segment of the stream that drives the stage.
    OfStream {
        /// Position in the stream, from 0.
        segment: usize,
        /// The stream.
        stream: String,
    },
    /// A group of keys.
    Group(usize),
    /// The window that begins then.
    Window(String),
    /// One of the invocations of a stage without inputs, which its `parts` number.
    Part(usize),
}

impl fmt::Display for FailureSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut driving = None;
        match &self.item {
            Some(WorkItem::OfFile { segment, file, stream }) => {
                driving = Some(stream);
                write!(f, ", segment {segment} of {file}")?;
            }
            Some(WorkItem::OfStream { segment, stream }) => {
                driving = Some(stream);
                write!(f, ", segment {segment} of `{stream}`")?;
            }
            Some(WorkItem::Group(number)) => write!(f, ", group {number}")?,
            Some(WorkItem::Window(start)) => write!(f, ", window {start}")?,
            Some(WorkItem::Part(number)) => write!(f, ", part {number}")?,
            None => {}
        }
        let Some((stream, rows)) = &self.rows else { return Ok(()) };
        write!(f, ", rows {} to {}", rows.start + 1, rows.end)?;
        match driving == Some(stream) {
            true => Ok(()),
            false => write!(f, " of `{stream}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_from_one_and_the_driving_stream_needs_no_name() {
        let stream = "lines".to_owned();
        let item = Some(WorkItem::OfFile { segment: 2, stream: stream.clone(), file: "a.txt".to_owned() });
        let place = FailureSite { item: item.clone(), rows: Some((stream.clone(), 0..8192)) };
        assert_eq!(place.to_string(), ", segment 2 of a.txt, rows 1 to 8192");
        let place = FailureSite { item, rows: Some(("table".to_owned(), 10..20)) };
        assert_eq!(place.to_string(), ", segment 2 of a.txt, rows 11 to 20 of `table`");
        let place = FailureSite { item: Some(WorkItem::OfStream { segment: 2, stream }), rows: None };
        assert_eq!(place.to_string(), ", segment 2 of `lines`");
        assert_eq!(FailureSite::default().to_string(), "");
    }
}
