//! Parquet's footer: lists state their lengths, groups of columns the number of their children. A walk over the Thrift
//! in which the footer is written, which keeps nothing.

/// How deep columns may nest: whoever decodes them goes down by recursion.
const MOST_LEVELS: usize = 64;

/// How deep structures of the footer itself may nest.
const MOST_DEPTH: usize = 32;

/// Types of Thrift's compact protocol.
const BYTE: u8 = 3;
const INTEGERS: std::ops::RangeInclusive<u8> = 4..=6;
const I32: u8 = 5;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LISTS: std::ops::RangeInclusive<u8> = 9..=10;
const STRUCT: u8 = 12;

/// The list of columns in a footer, and the number of children of one of them.
const SCHEMA: i64 = 2;
const CHILDREN: i64 = 5;

/// The field of a footer that says how columns are encrypted.
const ENCRYPTION: i64 = 8;

/// Whether a footer says that columns are encrypted.
pub fn is_encrypted(bytes: &[u8]) -> bool {
    let mut found = false;
    let mut walk = Walk { rest: bytes, fault: None };
    let _ = walk.fields(|walk, id, kind| {
        found |= id == ENCRYPTION;
        walk.value(kind, 0)
    });
    found
}

/// Checks that no list of a footer is longer than the footer, and that columns nest no deeper than can be decoded.
///
/// # Errors
/// What it states that can't be.
pub fn check_footer(bytes: &[u8]) -> Result<(), String> {
    let mut walk = Walk { rest: bytes, fault: None };
    // Where the walk can't go on, neither can the decoder.
    let _ = walk.fields(|walk, id, kind| match (id, kind) {
        (SCHEMA, kind) if LISTS.contains(&kind) => walk.schema(),
        _ => walk.value(kind, 0),
    });
    walk.fault.map_or(Ok(()), |fault| Err(fault.to_owned()))
}

struct Walk<'a> {
    rest: &'a [u8],
    fault: Option<&'static str>,
}

impl Walk<'_> {
    /// Ends the walk.
    fn refuse<T>(&mut self, fault: &'static str) -> Option<T> {
        self.fault = Some(fault);
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Each field of a structure: its number and its type.
    fn fields(&mut self, mut each: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0F;
            id = match head >> 4 {
                _ if kind == 0 => return Some(()),
                0 => self.signed()?,
                step => id.checked_add(i64::from(step))?,
            };
            each(self, id, kind)?;
        }
    }

    /// The number and type of a list's elements: each takes a byte or more.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
        if count > self.rest.len() as u64 {
            return self.refuse("a list in its footer is longer than the footer");
        }
        Some((count, head & 0x0F))
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            _ if depth > MOST_DEPTH => self.refuse("its footer nests too deep"),
            1 | 2 => Some(()),
            BYTE => self.skip(1),
            DOUBLE => self.skip(8),
            BINARY => self.number().and_then(|length| self.skip(length)),
            STRUCT => self.fields(|walk, _, kind| walk.value(kind, depth + 1)),
            kind if INTEGERS.contains(&kind) => self.number().map(drop),
            kind if LISTS.contains(&kind) => {
                let (count, kind) = self.list()?;
                // Within a list a truth value takes a byte.
                let kind = if kind <= 2 { BYTE } else { kind };
                (0..count).try_for_each(|_| self.value(kind, depth + 1))
            }
            _ => None,
        }
    }

    /// The columns, each group followed by its children.
    fn schema(&mut self) -> Option<()> {
        let (count, _) = self.list()?;
        // Of each open group, how many children are still to come.
        let mut open = Vec::new();
        for _ in 0..count {
            let mut children = 0;
            self.fields(|walk, id, kind| match (id, kind) {
                (CHILDREN, I32) => walk.signed().map(|number| children = number),
                _ => walk.value(kind, 1),
            })?;
            if children > count as i64 {
                return self.refuse("a group of columns has more children than there are columns");
            }
            while open.last() == Some(&0) {
                open.pop();
            }
            open.last_mut().into_iter().for_each(|left| *left -= 1);
            open.extend((children > 0).then_some(children));
            if open.len() > MOST_LEVELS {
                return self.refuse("its columns nest too deep");
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A footer with these numbers of children, and after them a list head.
    fn footer(children: &[u64], list: &[u8]) -> Vec<u8> {
        let varint = |number: u64| -> Vec<u8> {
            let parts = (0..10).map(|i| (number >> (7 * i) & 0x7F) as u8).collect::<Vec<_>>();
            let last = parts.iter().rposition(|&part| part > 0).unwrap_or(0);
            parts[..=last].iter().enumerate().map(|(i, part)| if i < last { part | 0x80 } else { *part }).collect()
        };
        let mut bytes = vec![0x29, 0xFC];
        bytes.extend(varint(children.len() as u64));
        for &number in children {
            bytes.push(0x55);
            bytes.extend(varint(2 * number));
            bytes.push(0);
        }
        bytes.push(0x29);
        bytes.extend(list);
        bytes.push(0);
        bytes
    }

    #[test]
    fn sound_footers_pass() {
        assert_eq!(check_footer(&footer(&[2, 0, 1, 0], &[0x13, 7])), Ok(()));
        assert_eq!(check_footer(&footer(&[30; 30], &[0x00])), Ok(()), "children that are missing are the decoder's");
        assert_eq!(check_footer(b""), Ok(()));
    }

    #[test]
    fn counts_and_depths_that_cannot_be_are_refused() {
        let refused = |children: &[u64], list: &[u8]| check_footer(&footer(children, list)).unwrap_err();
        assert!(refused(&[1, 0], &[0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]).contains("longer than the footer"));
        assert!(refused(&[1, 1 << 30, 0], &[0x00]).contains("more children"));
        assert!(refused(&[1; 1000], &[0x00]).contains("nest too deep"));
        assert!(check_footer(&[0x1C; 100_000]).unwrap_err().contains("footer nests too deep"));
    }

    #[test]
    fn an_encrypted_footer_is_known_by_one_field() {
        assert!(!is_encrypted(&footer(&[2, 0, 0], &[0x00])));
        // After the last field, the eighth: an empty structure.
        let mut bytes = footer(&[2, 0, 0], &[0x00]);
        bytes.pop();
        bytes.extend([0x4C, 0, 0]);
        assert!(is_encrypted(&bytes));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check_footer(&bytes);
        }
    }
}
