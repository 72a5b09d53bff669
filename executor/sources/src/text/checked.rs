//! Bytes as text: checked for many records at once, which is quicker than one by one.

use std::ops::Range;

/// How many bytes are checked at once, unless a record is longer.
const WINDOW: usize = 1 << 16;

/// Bytes, and the part of them that is known to be text.
pub(crate) struct CheckedText<'a> {
    bytes: &'a [u8],
    start: usize,
    text: &'a str,
}

impl<'a> CheckedText<'a> {
    /// Bytes of which nothing is known.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0, text: "" }
    }

    /// The record that lies there; none if it is not UTF-8, whatever lies beside it.
    #[inline]
    pub(crate) fn record(&mut self, range: Range<usize>) -> Option<&'a str> {
        if range.start < self.start || range.end > self.start + self.text.len() {
            self.check(range.clone());
        }
        let text = self.text.get(range.start - self.start..range.end - self.start);
        // Nothing is text, even within a character.
        text.or_else(|| range.is_empty().then_some(""))
    }

    /// Looks at the bytes from a record on, as far as they are text.
    fn check(&mut self, record: Range<usize>) {
        let end = record.end.max(record.start + WINDOW).min(self.bytes.len());
        let window = self.bytes.get(record.start..end).unwrap_or_default();
        self.start = record.start;
        self.text = match std::str::from_utf8(window) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default(),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_is_text_whatever_lies_beside_it(
            records in proptest::collection::vec(proptest::collection::vec(proptest::sample::select(b"ab\xC3\xA9\xF0\x9F\x98\x80\xFF".to_vec()), 0..6), 0..20),
            backwards in any::<bool>(),
        ) {
            let bytes = records.concat();
            let mut at = 0;
            let mut ranges: Vec<_> = records.iter().map(|record| { at += record.len(); at - record.len()..at }).collect();
            if backwards {
                ranges.reverse();
            }
            let mut checked = CheckedText::new(&bytes);
            for range in ranges {
                prop_assert_eq!(checked.record(range.clone()), std::str::from_utf8(&bytes[range]).ok());
            }
        }
    }

    #[test]
    fn records_may_be_longer_than_what_is_checked_at_once() {
        let long = "é".repeat(WINDOW);
        let bytes = format!("a{long}b{long}");
        let mut checked = CheckedText::new(bytes.as_bytes());
        assert_eq!(checked.record(0..1), Some("a"));
        assert_eq!(checked.record(1..1 + long.len()), Some(long.as_str()));
        assert_eq!(checked.record(1 + long.len()..bytes.len()), Some(format!("b{long}").as_str()));
        // Within a character.
        assert_eq!(checked.record(2..4), None);
    }
}
