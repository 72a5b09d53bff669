//! The types of CSV columns, from their fields. A type is taken where all fields seen are values of it, as they are read
//! later, and where none of them would lose anything by it.

use std::collections::BTreeSet;

use arrow_array::StringArray;
use arrow_schema::{DataType, TimeUnit};

use crate::values::texts::{is_padded, read_texts};

/// The columns of the rows so far.
pub(crate) struct CsvColumns<'a> {
    /// The text of no value, if there is one.
    null: Option<&'a str>,
    columns: Vec<Column>,
}

/// What the fields of a column are.
#[derive(Default)]
struct Column {
    /// The fields that are not null, until they are text.
    fields: Vec<String>,
    kind: Option<Kind>,
    /// Whether a time has a zone or an offset.
    is_zoned: bool,
}

/// What a field looks like. Times have 3 digits behind the point for each step of their unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Truth,
    Whole,
    Float,
    Date,
    Time(TimeUnit),
    Text,
}

impl<'a> CsvColumns<'a> {
    pub(crate) fn new(number: usize, null: Option<&'a str>) -> Self {
        Self { null, columns: (0..number).map(|_| Column::default()).collect() }
    }

    /// Takes in a row. One that is bad whatever the types, with too few or too many fields or bytes that are no text, says
    /// nothing of them.
    pub(crate) fn add(&mut self, row: &csv::ByteRecord) {
        let texts: Option<Vec<&str>> = row.iter().map(|field| std::str::from_utf8(field).ok()).collect();
        let Some(texts) = texts.filter(|texts| texts.len() == self.columns.len()) else { return };
        for (column, text) in self.columns.iter_mut().zip(texts) {
            if Some(text) != self.null {
                column.add(text);
            }
        }
    }

    /// What the fields of a column look like together; none while all are null.
    pub(crate) fn kind(&self, column: usize) -> Option<Kind> {
        self.columns[column].kind
    }

    /// The type of each column. Nothing but nulls is text.
    pub(crate) fn types(self) -> impl Iterator<Item = DataType> {
        self.columns.into_iter().map(|column| column.data_type().unwrap_or(DataType::Utf8))
    }
}

impl Column {
    fn add(&mut self, text: &str) {
        let kind = Kind::of(text);
        self.kind = Some(self.kind.map_or(kind, |own| own.join(kind)));
        match self.kind {
            Some(Kind::Text) => self.fields = Vec::new(),
            _ => self.fields.push(text.to_owned()),
        }
        self.is_zoned |= matches!(kind, Kind::Time(_)) && has_zone(text);
    }

    /// The type that the fields look like, if they are values of it.
    fn data_type(self) -> Option<DataType> {
        let data_type = match self.kind? {
            Kind::Truth => DataType::Boolean,
            Kind::Whole => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Date => DataType::Date32,
            Kind::Time(unit) => DataType::Timestamp(unit, self.is_zoned.then(|| "UTC".into())),
            Kind::Text => return None,
        };
        read_texts(&StringArray::from(self.fields), &data_type).is_ok().then_some(data_type)
    }
}

impl Kind {
    /// What a text looks like.
    pub(crate) fn of(text: &str) -> Self {
        match text {
            "NaN" | "nan" | "inf" | "-inf" => Kind::Float,
            // As another type it would lose the white space.
            text if is_padded(text) => Kind::Text,
            text if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => Kind::Truth,
            text => Self::of_number(text).or_else(|| Self::of_time(text)).unwrap_or(Kind::Text),
        }
    }

    /// A number with zeros before its digits is a code (`00501`): as a number it would lose them.
    fn of_number(text: &str) -> Option<Self> {
        let number = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = number.split_once(['e', 'E']).map_or((number, None), |(m, e)| (m, Some(e)));
        let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_exponent = |text: &str| {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            !digits.is_empty() && is_digits(digits)
        };
        let is_number = is_digits(whole)
            && fraction.is_none_or(is_digits)
            && whole.len() + fraction.map_or(0, str::len) > 0
            && exponent.is_none_or(is_exponent);
        match (is_number, fraction, exponent) {
            (false, ..) => None,
            _ if whole.len() > 1 && whole.starts_with('0') => Some(Kind::Text),
            (_, None, None) => Some(Kind::Whole),
            _ => Some(Kind::Float),
        }
    }

    /// `2024-02-29`, and with a time of day `2024-02-29T12:00:00.5Z`, also with a space in the middle.
    fn of_time(text: &str) -> Option<Self> {
        let rest = match_digits(text, "dddd-dd-dd")?;
        if rest.is_empty() {
            return Some(Kind::Date);
        }
        let rest = match_digits(rest.strip_prefix(['T', ' '])?, "dd:dd:dd")?;
        let Some(fraction) = rest.strip_prefix('.') else { return Some(Kind::Time(TimeUnit::Second)) };
        Some(Kind::Time(match fraction.bytes().take_while(u8::is_ascii_digit).count() {
            1..=3 => TimeUnit::Millisecond,
            4..=6 => TimeUnit::Microsecond,
            7..=9 => TimeUnit::Nanosecond,
            _ => return None,
        }))
    }

    /// What values of both kinds look like together.
    pub(crate) fn join(self, other: Kind) -> Self {
        match (self, other) {
            (own, other) if own == other => own,
            (Kind::Whole, Kind::Float) | (Kind::Float, Kind::Whole) => Kind::Float,
            (Kind::Date, time @ Kind::Time(_)) | (time @ Kind::Time(_), Kind::Date) => time,
            (Kind::Time(own), Kind::Time(other)) => Kind::Time(own.max(other)),
            _ => Kind::Text,
        }
    }
}

/// The type that a column of CSV with these values gets, none of which is null.
pub(crate) fn type_of_texts(texts: &BTreeSet<String>) -> DataType {
    let mut columns = CsvColumns::new(1, None);
    texts.iter().for_each(|text| columns.add(&csv::ByteRecord::from(vec![text.as_str()])));
    columns.types().next().unwrap_or(DataType::Utf8)
}

/// What follows a pattern in which `d` is any digit.
fn match_digits<'t>(text: &'t str, pattern: &str) -> Option<&'t str> {
    let fits = |(byte, pattern): (u8, u8)| if pattern == b'd' { byte.is_ascii_digit() } else { byte == pattern };
    let is_match = text.len() >= pattern.len() && text.bytes().zip(pattern.bytes()).all(fits);
    if is_match { text.get(pattern.len()..) } else { None }
}

/// Whether a time such as `2024-02-29T12:00:00` is followed by a zone or an offset.
fn has_zone(text: &str) -> bool {
    let rest = text.as_bytes().get("2024-02-29T12:00:00".len()..);
    rest.is_some_and(|rest| rest.iter().any(|byte| b"Zz+-".contains(byte)))
}
