//! JSON, read token by token. Numbers keep their digits, and a member that an object repeats can be noticed: parsers that
//! give values round the one and drop the other.

use std::borrow::Cow;
use std::collections::HashSet;

use arrow_schema::ArrowError;

use super::scan::{MemberName, leading_digits, plain_length};

/// How deep lists and objects may nest.
const MOST_LEVELS: usize = 128;

/// Digits that fit an `i64`, whatever they are.
const MOST_DIGITS: usize = 18;

/// Up to this every whole number is a float.
const MOST_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// The powers of ten that are floats and may be needed, from one on.
const EXACT_POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The start of a value, or all of a scalar.
#[derive(Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Null,
    Truth(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// [`Cursor::next_item`] goes through it.
    List,
    /// [`Cursor::next_member`] goes through it.
    Object,
}

/// A place in a text of JSON.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    levels: usize,
    /// Whether a list or an object has just been opened: no comma comes before its first value.
    opened: bool,
}

impl<'a> Cursor<'a> {
    /// The start of a record.
    ///
    /// # Errors
    /// The record is not UTF-8.
    #[inline]
    pub(crate) fn new(record: &'a [u8]) -> Result<Self, ArrowError> {
        std::str::from_utf8(record).map(Self::of_text).map_err(|_| not_text())
    }

    /// The start of a record that is known to be text.
    #[inline]
    pub(crate) fn of_text(text: &'a str) -> Self {
        Self { text, at: 0, levels: 0, opened: false }
    }

    /// What the next value begins with: all but white space.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.peek_behind_space(),
        }
    }

    fn peek_behind_space(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Reads a scalar, or enters a list or an object.
    ///
    /// # Errors
    /// No value is here.
    #[inline]
    pub(crate) fn token(&mut self) -> Result<Token<'a>, ArrowError> {
        match self.peek() {
            Some(b'"') => self.string().map(Token::Text),
            Some(b'[') => self.open().map(|()| Token::List),
            Some(b'{') => self.open().map(|()| Token::Object),
            Some(b'-' | b'0'..=b'9') => self.number().map(Token::Number),
            Some(b'n') => self.word("null").map(|()| Token::Null),
            Some(b't') => self.word("true").map(|()| Token::Truth(true)),
            Some(b'f') => self.word("false").map(|()| Token::Truth(false)),
            _ => Err(malformed("a value is missing")),
        }
    }

    /// Whether the list has one more item, which comes next. Otherwise the list has been left.
    ///
    /// # Errors
    /// Neither an item nor the list's end is here.
    pub(crate) fn next_item(&mut self) -> Result<bool, ArrowError> {
        self.next_part(b']')
    }

    /// The name of the object's next member, whose value comes next. `None`: the object has been left.
    ///
    /// # Errors
    /// Neither a member nor the object's end is here.
    #[inline]
    pub(crate) fn next_member(&mut self) -> Result<Option<Cow<'a, str>>, ArrowError> {
        if !self.next_part(b'}')? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(malformed("the name of a member is missing"));
        }
        let name = self.string()?;
        self.expect(b':')?;
        Ok(Some(name))
    }

    /// Whether the object's next member has this name, written without a space or an escape; its value comes next then. Otherwise nothing
    /// was read.
    #[inline]
    pub(super) fn is_next_member(&mut self, name: &MemberName) -> bool {
        let opening = if self.opened { &name.first } else { &name.later };
        let is_next = opening.begins(&self.text.as_bytes()[self.at..]);
        if is_next {
            self.opened = false;
            self.at += opening.len();
        }
        is_next
    }

    /// A whole number within bounds, in so few digits that it fits, if the next value is one. Otherwise nothing was read.
    #[inline]
    pub(crate) fn whole(&mut self, least: i64, most: i64) -> Option<i64> {
        let rest = &self.text.as_bytes()[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let (value, end) = leading_digits(rest, sign, 0);
        let is_whole = !matches!(rest.get(end), Some(b'.' | b'e' | b'E'));
        // Longer ones are read as others are.
        if !is_counted(&rest[sign..end], MOST_DIGITS) || !is_whole {
            return None;
        }
        // At most 18 digits.
        let value = if sign == 1 { -(value as i64) } else { value as i64 };
        let is_within = least <= value && value <= most;
        self.at += if is_within { end } else { 0 };
        is_within.then_some(value)
    }

    /// A number of so few digits, without an exponent, that one division of floats gives it exactly, if the next value is one. Otherwise
    /// nothing was read.
    #[inline]
    pub(crate) fn decimal(&mut self) -> Option<f64> {
        let rest = &self.text.as_bytes()[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let (mut value, whole) = leading_digits(rest, sign, 0);
        let mut end = whole;
        let mut power = &1.0;
        if !is_counted(&rest[sign..whole], EXACT_POWERS.len()) {
            return None;
        }
        if rest.get(whole) == Some(&b'.') {
            (value, end) = leading_digits(rest, whole + 1, value);
            // A point is followed by a digit.
            power = EXACT_POWERS.get(end - whole - 1).filter(|_| end > whole + 1)?;
        }
        if value > MOST_EXACT || end - sign > MOST_DIGITS || matches!(rest.get(end), Some(b'e' | b'E')) {
            return None;
        }
        self.at += end;
        // Both are floats without an error, so their quotient is the float that is nearest to the number.
        let value = value as f64 / power;
        Some(if sign == 1 { -value } else { value })
    }

    /// A truth value, if the next value is one. Otherwise nothing was read.
    #[inline]
    pub(crate) fn truth(&mut self) -> Option<bool> {
        let rest = &self.text.as_bytes()[self.at..];
        let truth = rest.starts_with(b"true");
        if !truth && !rest.starts_with(b"false") {
            return None;
        }
        self.at += if truth { "true".len() } else { "false".len() };
        Some(truth)
    }

    /// Enters an object, if the next value is one. Otherwise nothing was read.
    ///
    /// # Errors
    /// It nests too deep.
    #[inline]
    pub(crate) fn enter_object(&mut self) -> Result<bool, ArrowError> {
        let is_next = self.peek() == Some(b'{');
        if is_next {
            self.open()?;
        }
        Ok(is_next)
    }

    /// A text without escapes, if the next value is one. Otherwise nothing was read.
    #[inline]
    pub(crate) fn plain_text(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes()[self.at..].strip_prefix(b"\"")?;
        let length = plain_length(rest);
        if rest.get(length) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        self.at = start + length + 1;
        Some(&self.text[start..start + length])
    }

    /// Reads a value that nobody needs. In it, too, an object that repeats a member is an error.
    ///
    /// # Errors
    /// The value is no JSON, or an object in it repeats a member.
    pub(crate) fn skip(&mut self) -> Result<(), ArrowError> {
        match self.token()? {
            Token::List => {
                while self.next_item()? {
                    self.skip()?;
                }
            }
            Token::Object => {
                let mut names = HashSet::new();
                while let Some(name) = self.next_member()? {
                    self.skip()?;
                    if let Some(name) = names.replace(name) {
                        return Err(repeated(&name));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The text of the next value.
    ///
    /// # Errors
    /// As [`Cursor::skip`].
    pub(crate) fn raw(&mut self) -> Result<&'a str, ArrowError> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Makes sure that nothing follows.
    ///
    /// # Errors
    /// Something does.
    pub(crate) fn end(&mut self) -> Result<(), ArrowError> {
        self.peek().map_or(Ok(()), |_| Err(malformed("text follows the value")))
    }

    #[inline]
    fn open(&mut self) -> Result<(), ArrowError> {
        self.at += 1;
        self.levels += 1;
        self.opened = true;
        if self.levels > MOST_LEVELS { Err(malformed("lists and objects nest too deep")) } else { Ok(()) }
    }

    #[inline]
    fn next_part(&mut self, close: u8) -> Result<bool, ArrowError> {
        let is_first = std::mem::take(&mut self.opened);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.levels -= 1;
                Ok(false)
            }
            Some(_) if is_first => Ok(true),
            _ => self.expect(b',').map(|()| true),
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), ArrowError> {
        if self.peek() != Some(byte) {
            return Err(malformed("a comma, a colon or a bracket is missing"));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), ArrowError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(malformed("a value is missing"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str, ArrowError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = start + usize::from(bytes[start] == b'-');
        let mut end = whole + digits(whole);
        let mut is_number = end == whole + 1 || (end > whole && bytes[whole] != b'0');
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            is_number &= fraction > 0;
            end += 1 + fraction;
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits((end + 1 + sign).min(bytes.len()));
            is_number &= exponent > 0;
            end += 1 + sign + exponent;
        }
        self.at = end;
        if is_number { Ok(&self.text[start..end]) } else { Err(malformed("not a number")) }
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>, ArrowError> {
        self.at += 1;
        let first = self.plain()?;
        if self.text.as_bytes()[self.at] == b'"' {
            self.at += 1;
            return Ok(Cow::Borrowed(first));
        }
        let mut text = first.to_owned();
        while self.text.as_bytes()[self.at] == b'\\' {
            text.push(self.escape()?);
            text.push_str(self.plain()?);
        }
        self.at += 1;
        Ok(Cow::Owned(text))
    }

    /// The characters up to a quote or an escape.
    #[inline]
    fn plain(&mut self) -> Result<&'a str, ArrowError> {
        let rest = &self.text[self.at..];
        let length = plain_length(rest.as_bytes());
        self.at += length;
        match rest.as_bytes().get(length) {
            Some(b'"' | b'\\') => Ok(&rest[..length]),
            Some(_) => Err(malformed("a control character in a text")),
            None => Err(malformed("a text has no end")),
        }
    }

    fn escape(&mut self) -> Result<char, ArrowError> {
        let wrong = || malformed("an escape that JSON does not have");
        let escaped = *self.text.as_bytes().get(self.at + 1).ok_or_else(wrong)?;
        self.at += 2;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unit().and_then(|unit| self.character(unit)).ok_or_else(wrong),
            _ => return Err(wrong()),
        })
    }

    /// The character that a unit of UTF-16 stands for, together with the next one if it needs that.
    fn character(&mut self, unit: u16) -> Option<char> {
        let mut units = vec![unit];
        if matches!(unit, 0xD800..=0xDBFF) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            units.push(self.unit()?);
        }
        String::from_utf16(&units).ok()?.chars().next()
    }

    fn unit(&mut self) -> Option<u16> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }
}

/// Whether there are digits, no more than these, and no zero before others.
#[inline]
fn is_counted(digits: &[u8], most: usize) -> bool {
    (1..=most).contains(&digits.len()) && (digits.len() == 1 || digits[0] != b'0')
}

fn malformed(reason: &str) -> ArrowError {
    ArrowError::JsonError(reason.to_owned())
}

/// What is wrong with a record that is no text.
pub(super) fn not_text() -> ArrowError {
    malformed("not UTF-8")
}

/// What is wrong with an object that has a member twice.
pub(crate) fn repeated(member: &str) -> ArrowError {
    ArrowError::JsonError(format!("the member `{member}` occurs more than once"))
}

/// Checks a whole record. Gives whether it is an object.
///
/// # Errors
/// It is no JSON, or an object in it repeats a member.
pub(crate) fn check(record: &[u8]) -> Result<bool, ArrowError> {
    let mut cursor = Cursor::new(record)?;
    let is_object = cursor.peek() == Some(b'{');
    cursor.skip()?;
    cursor.end()?;
    Ok(is_object)
}

#[cfg(test)]
mod tests;
