//! Where records of a text format end: exactly where the parser sees the end, but without parsing.

use std::ops::Range;

use flowc_planner::plan::CsvDialect;
use memchr::{memchr, memchr2, memchr3};

/// The longest record. A quote that is never closed would otherwise make one of a whole file.
pub(crate) const MOST_RECORD: usize = 256 << 20;

/// How a text format delimits records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// A record a line, empty lines too.
    Lines,
    /// A record a line; lines of white space are no records.
    JsonLines,
    /// Lines, but for those within quotes; empty lines and comments are no records.
    Csv(CsvFraming),
}

/// The characters that matter to CSV's records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CsvFraming {
    delimiter: u8,
    quote: u8,
    escape: Option<u8>,
    comment: Option<u8>,
}

impl CsvFraming {
    /// The dialect must have been checked to be ASCII.
    pub(crate) fn new(dialect: &CsvDialect) -> Self {
        Self {
            delimiter: dialect.delimiter as u8,
            quote: dialect.quote as u8,
            escape: dialect.escape.map(|c| c as u8),
            comment: dialect.comment.map(|c| c as u8),
        }
    }

    pub(crate) fn quote(&self) -> u8 {
        self.quote
    }

    /// Whether a text is written in quotes as it is.
    pub(crate) fn is_literal(&self, text: &[u8]) -> bool {
        !text.iter().any(|&byte| byte == self.quote || Some(byte) == self.escape)
    }

    /// Skips what lies between records. `None`: all of `bytes` does, or a comment has no end yet.
    fn start(&self, bytes: &[u8], mut at: usize) -> Option<usize> {
        loop {
            match *bytes.get(at)? {
                b'\n' | b'\r' => at += 1,
                byte if Some(byte) == self.comment => at += memchr(b'\n', &bytes[at..])? + 1,
                _ => return Some(at),
            }
        }
    }

    /// The end of the record that starts at `at`, line end included.
    fn end(&self, bytes: &[u8], mut at: usize) -> Option<usize> {
        loop {
            if *bytes.get(at)? == self.quote {
                at = self.close(bytes, at + 1)?;
            }
            at += memchr3(self.delimiter, b'\n', b'\r', bytes.get(at..)?)? + 1;
            match bytes[at - 1] {
                byte if byte == self.delimiter => {}
                b'\r' if bytes.get(at) == Some(&b'\n') => return Some(at + 1),
                _ => return Some(at),
            }
        }
    }

    /// The place after the quote that closes a quoted field whose content starts at `at`.
    fn close(&self, bytes: &[u8], mut at: usize) -> Option<usize> {
        loop {
            let rest = bytes.get(at..)?;
            at += match self.escape {
                Some(escape) => memchr2(self.quote, escape, rest)?,
                None => memchr(self.quote, rest)?,
            };
            match bytes.get(at + 1) {
                _ if bytes[at] != self.quote => at += 2,
                Some(&next) if next == self.quote => at += 2,
                _ => return Some(at + 1),
            }
        }
    }

    /// The places, among the fields of a record, of those that say this text in quotes.
    pub(crate) fn quoted_fields(&self, record: &[u8], text: &[u8]) -> Vec<usize> {
        let (mut places, mut at) = (Vec::new(), 0);
        for place in 0.. {
            if record.get(at) == Some(&self.quote) {
                let Some(end) = self.close(record, at + 1) else { break };
                if self.says(&record[at + 1..end - 1], text) {
                    places.push(place);
                }
                at = end;
            }
            match record.get(at..).and_then(|rest| memchr(self.delimiter, rest)) {
                Some(next) => at += next + 1,
                None => break,
            }
        }
        places
    }

    /// Whether the content of a quoted field says this text: a quote or an escape stands before the byte that is meant.
    fn says(&self, content: &[u8], text: &[u8]) -> bool {
        let (mut content, mut text) = (content.iter(), text.iter());
        loop {
            let said = match content.next() {
                Some(&mark) if mark == self.quote || Some(mark) == self.escape => content.next(),
                said => said,
            };
            match (said, text.next()) {
                (None, None) => return true,
                (said, meant) if said != meant => return false,
                _ => {}
            }
        }
    }

    /// Whether a quote is opened in this record and never closed.
    pub(crate) fn is_open(&self, record: &[u8]) -> bool {
        let mut at = 0;
        loop {
            if record.get(at) == Some(&self.quote) {
                match self.close(record, at + 1) {
                    Some(end) => at = end,
                    None => return true,
                }
            }
            match record.get(at..).and_then(|rest| memchr(self.delimiter, rest)) {
                Some(next) => at += next + 1,
                None => return false,
            }
        }
    }

    /// Whether in some record of these bytes, which are whole records, text follows the closing quote of a field.
    pub(crate) fn has_tail(&self, bytes: &[u8]) -> bool {
        match self.comment {
            None => self.tail_in(bytes),
            // Quotes in comments are none.
            Some(_) => {
                let mut at = 0;
                let records = std::iter::from_fn(|| {
                    let record = Framing::Csv(*self).last_record(bytes, at)?;
                    at = record.end;
                    Some(record)
                });
                memchr(self.quote, bytes).is_some() && records.into_iter().any(|record| self.tail_in(&bytes[record]))
            }
        }
    }

    fn tail_in(&self, bytes: &[u8]) -> bool {
        let mut at = 0;
        while let Some(quote) = bytes.get(at..).and_then(|rest| memchr(self.quote, rest)).map(|i| at + i) {
            at = quote + 1;
            if quote == 0 || self.opens(bytes[quote - 1]) {
                let Some(end) = self.close(bytes, at) else { return false };
                if bytes.get(end).is_some_and(|&next| !self.opens(next)) {
                    return true;
                }
                at = end;
            }
        }
        false
    }

    /// The first line end at or after `least` that ends a record; records start at `from`. Looks at quotes alone.
    fn line_after(&self, bytes: &[u8], from: usize, least: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let quote = memchr(self.quote, bytes.get(at..)?).map_or(bytes.len(), |i| at + i);
            if quote > least {
                let start = at.max(least);
                if let Some(i) = memchr(b'\n', &bytes[start..quote]) {
                    return Some(start + i + 1);
                }
            }
            at = match quote == from || self.opens(*bytes.get(quote.wrapping_sub(1))?) {
                _ if quote == bytes.len() => return None,
                true => self.close(bytes, quote + 1)?,
                false => quote + 1,
            };
        }
    }

    /// Whether a quote after this byte, outside quotes, opens a quoted field.
    fn opens(&self, before: u8) -> bool {
        before == self.delimiter || before == b'\n' || before == b'\r'
    }
}

impl Framing {
    /// The next record at or after `from`: without what lies before it, with its line end. `None` when `bytes` holds
    /// nothing but a record's beginning, or nothing.
    pub(crate) fn record(&self, bytes: &[u8], from: usize) -> Option<Range<usize>> {
        match self {
            Framing::Lines => Some(from..line_end(bytes, from)?),
            Framing::JsonLines => {
                let mut start = from;
                loop {
                    let end = line_end(bytes, start)?;
                    if !is_blank(&bytes[start..end]) {
                        return Some(start..end);
                    }
                    start = end;
                }
            }
            Framing::Csv(csv) => {
                let start = csv.start(bytes, from)?;
                Some(start..csv.end(bytes, start)?)
            }
        }
    }

    /// The same, where nothing follows `bytes`: the last record needs no line end.
    pub(crate) fn last_record(&self, bytes: &[u8], from: usize) -> Option<Range<usize>> {
        self.record(bytes, from).or_else(|| {
            let start = match self {
                Framing::Lines => from,
                Framing::JsonLines => last_line(bytes, from)?,
                Framing::Csv(csv) => csv.start(bytes, from)?,
            };
            (start < bytes.len()).then_some(start..bytes.len())
        })
    }

    /// The first end of a record, at a line end, that leaves at least `least` bytes before it. A record starts at
    /// `from`. Faster than going record by record.
    pub(crate) fn end_after(&self, bytes: &[u8], from: usize, least: usize) -> Option<usize> {
        match self {
            Framing::Csv(csv) if csv.comment.is_none() => csv.line_after(bytes, from, least),
            Framing::Csv(_) => self.end_after_comments(bytes, from, least),
            Framing::Lines | Framing::JsonLines => line_end(bytes, from.max(least)),
        }
    }

    fn end_after_comments(&self, bytes: &[u8], mut from: usize, least: usize) -> Option<usize> {
        loop {
            from = self.record(bytes, from)?.end;
            if from > least && bytes[from - 1] == b'\n' {
                return Some(from);
            }
        }
    }
}

fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    Some(from + memchr(b'\n', bytes.get(from..)?)? + 1)
}

/// The start of the last line, unless it is blank. All lines before it are blank.
fn last_line(bytes: &[u8], mut from: usize) -> Option<usize> {
    while let Some(end) = line_end(bytes, from) {
        from = end;
    }
    (!is_blank(&bytes[from..])).then_some(from)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(framing: Framing, bytes: &[u8]) -> Vec<&[u8]> {
        let mut at = 0;
        std::iter::from_fn(|| {
            let record = framing.last_record(bytes, at)?;
            at = record.end;
            Some(&bytes[record])
        })
        .collect()
    }

    fn csv_text() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(proptest::sample::select(b"ab,,\"\"\"\n\n\r#\\ ".to_vec()), 0..60)
    }

    fn dialects() -> impl Strategy<Value = CsvDialect> {
        (any::<bool>(), any::<bool>()).prop_map(|(escape, comment)| CsvDialect {
            escape: escape.then_some('\\'),
            comment: comment.then_some('#'),
            ..CsvDialect::default()
        })
    }

    proptest! {
        #[test]
        fn csv_records_are_those_that_the_csv_crate_sees(mut bytes in csv_text(), dialect in dialects()) {
            // The csv crate takes a comment without a line end for a record.
            if dialect.comment.is_some() {
                bytes.push(b'\n');
            }
            let mut builder = ::csv::ReaderBuilder::new();
            builder.has_headers(false).flexible(true);
            builder.escape(dialect.escape.map(|c| c as u8)).comment(dialect.comment.map(|c| c as u8));
            let parse = |bytes: &[u8]| -> Vec<_> {
                builder.from_reader(bytes).byte_records().map(|record| record.unwrap()).collect::<Vec<_>>()
            };
            let own = records(Framing::Csv(CsvFraming::new(&dialect)), &bytes);
            let own: Vec<_> = own.into_iter().flat_map(parse).collect();
            let strip = |records: Vec<::csv::ByteRecord>| -> Vec<Vec<Vec<u8>>> {
                records.iter().map(|record| record.iter().map(<[u8]>::to_vec).collect()).collect()
            };
            prop_assert_eq!(strip(own), strip(parse(&bytes)));
        }

        #[test]
        fn skipping_finds_only_ends_of_records(bytes in csv_text(), dialect in dialects(), least in 0usize..40) {
            let framing = Framing::Csv(CsvFraming::new(&dialect));
            if let Some(end) = framing.end_after(&bytes, 0, least) {
                prop_assert!(end > least && bytes[end - 1] == b'\n');
                // Cut there, both sides have the records of the whole.
                let all = records(framing, &bytes).concat();
                let parts = [records(framing, &bytes[..end]).concat(), records(framing, &bytes[end..]).concat()];
                prop_assert_eq!(all, parts.concat());
            }
        }
    }

    #[test]
    fn lines_of_white_space_are_no_json_records() {
        assert_eq!(records(Framing::JsonLines, b"\n {}\n\t\r\n[]"), [&b" {}\n"[..], b"[]"]);
        assert_eq!(records(Framing::Lines, b"\na"), [&b"\n"[..], b"a"]);
    }
}
