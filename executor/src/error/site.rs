//! Where a stage was in its input when it failed.

use std::fmt;
use std::ops::Range;

/// A place in what a stage takes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// What the invocation was for.
    pub part: Option<Part>,
    /// The input and its rows, counted from 0 within the invocation, that were handed over last.
    pub rows: Option<(String, Range<u64>)>,
}

/// What an invocation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
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
    /// A part of a stage without inputs.
    Part(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut driving = None;
        match &self.part {
            Some(Part::OfFile { segment, file, stream }) => {
                driving = Some(stream);
                write!(f, ", segment {segment} of {file}")?;
            }
            Some(Part::OfStream { segment, stream }) => {
                driving = Some(stream);
                write!(f, ", segment {segment} of `{stream}`")?;
            }
            Some(Part::Group(number)) => write!(f, ", group {number}")?,
            Some(Part::Part(number)) => write!(f, ", part {number}")?,
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
        let part = Some(Part::OfFile { segment: 2, stream: stream.clone(), file: "a.txt".to_owned() });
        let place = Place { part: part.clone(), rows: Some((stream.clone(), 0..8192)) };
        assert_eq!(place.to_string(), ", segment 2 of a.txt, rows 1 to 8192");
        let place = Place { part, rows: Some(("table".to_owned(), 10..20)) };
        assert_eq!(place.to_string(), ", segment 2 of a.txt, rows 11 to 20 of `table`");
        let place = Place { part: Some(Part::OfStream { segment: 2, stream }), rows: None };
        assert_eq!(place.to_string(), ", segment 2 of `lines`");
        assert_eq!(Place::default().to_string(), "");
    }
}
