//! Values without parts under construction.

use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array};
use arrow_buffer::{BooleanBufferBuilder, NullBufferBuilder};
use arrow_schema::{ArrowError, DataType};
use arrow_select::interleave::interleave;

use super::cursor::{Cursor, Token};
use crate::values::texts::read_texts;
use crate::values::times::{is_time, read_ticks};

/// A column of values without parts.
pub(super) enum Leaf {
    /// Of a type whose values JSON has: most are read at once.
    Quick(Quick),
    /// Of another type: values are kept as they are spelled, and read together.
    Spelled(Spelled),
}

impl Leaf {
    pub(super) fn new(data_type: &DataType) -> Self {
        match Values::new(data_type) {
            Some(values) => Self::Quick(Quick {
                data_type: data_type.clone(),
                values,
                nulls: NullBufferBuilder::new(0),
                odd: StringBuilder::with_capacity(0, 0),
                odd_places: Vec::new(),
            }),
            None => Self::Spelled(Spelled::new(data_type)),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Quick(quick) => quick.values.len(),
            Self::Spelled(spelled) => spelled.texts.len(),
        }
    }

    #[inline]
    pub(super) fn append(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        match self {
            Self::Quick(quick) => quick.append(cursor),
            Self::Spelled(spelled) => spelled.append(cursor),
        }
    }

    /// Appends a text, as the name of a member is one.
    pub(super) fn append_text(&mut self, text: &str) {
        match self {
            Self::Quick(quick) => quick.append_odd(text),
            Self::Spelled(spelled) => spelled.append_text(text),
        }
    }

    pub(super) fn append_null(&mut self) {
        match self {
            Self::Quick(quick) => quick.append_null(),
            Self::Spelled(spelled) => spelled.append_null(),
        }
    }

    /// The values so far, which are taken out. A text that is no value of its type is found here.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Quick(quick) => quick.finish(),
            Self::Spelled(spelled) => spelled.finish(),
        }
    }
}

/// Values that were read at once.
enum Values {
    /// Whole numbers, within the bounds of their type.
    Whole {
        values: Vec<i64>,
        least: i64,
        most: i64,
    },
    Floats(Vec<f64>),
    Truths(BooleanBufferBuilder),
    /// Times, as counts of their type's unit.
    Ticks(Vec<i64>),
}

impl Values {
    /// None for types whose values are read together.
    fn new(data_type: &DataType) -> Option<Self> {
        let whole = |least, most| Some(Self::Whole { values: Vec::new(), least, most });
        match data_type {
            DataType::Int8 => whole(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => whole(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => whole(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => whole(i64::MIN, i64::MAX),
            DataType::UInt8 => whole(0, u8::MAX.into()),
            DataType::UInt16 => whole(0, u16::MAX.into()),
            DataType::UInt32 => whole(0, u32::MAX.into()),
            // Greater ones are odd.
            DataType::UInt64 => whole(0, i64::MAX),
            DataType::Float64 => Some(Self::Floats(Vec::new())),
            DataType::Boolean => Some(Self::Truths(BooleanBufferBuilder::new(0))),
            time if is_time(time) => Some(Self::Ticks(Vec::new())),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole { values, .. } | Self::Ticks(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Truths(values) => values.len(),
        }
    }

    /// Appends a value that most are like, if the next one is like that. Otherwise nothing was read.
    #[inline]
    fn append_usual(&mut self, cursor: &mut Cursor<'_>) -> bool {
        let appended = match self {
            Self::Whole { values, least, most } => cursor.whole(*least, *most).map(|value| values.push(value)),
            Self::Ticks(values) => cursor.whole(i64::MIN, i64::MAX).map(|count| values.push(count)),
            Self::Floats(values) => cursor.decimal().map(|value| values.push(value)),
            Self::Truths(values) => cursor.truth().map(|truth| values.append(truth)),
        };
        appended.is_some()
    }

    /// Appends a number; not if it may be spelled in another way, or is none of the type.
    fn append_number(&mut self, number: &str) -> bool {
        match self {
            Self::Whole { values, least, most } => match number.parse() {
                Ok(value) if (*least..=*most).contains(&value) => values.push(value),
                _ => return false,
            },
            Self::Floats(values) => match number.parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                _ => return false,
            },
            Self::Ticks(values) => match number.parse() {
                Ok(count) => values.push(count),
                Err(_) => return false,
            },
            Self::Truths(_) => return false,
        }
        true
    }

    /// Takes the values out. As many are expected to follow.
    fn take<T>(values: &mut Vec<T>) -> Vec<T> {
        let room = Vec::with_capacity(values.len());
        std::mem::replace(values, room)
    }

    /// Appends what stands for a value that is not here.
    fn append_nothing(&mut self) {
        match self {
            Self::Whole { values, .. } | Self::Ticks(values) => values.push(0),
            Self::Floats(values) => values.push(0.0),
            Self::Truths(values) => values.append(false),
        }
    }
}

/// A column of numbers, truth values or times.
pub(super) struct Quick {
    data_type: DataType,
    values: Values,
    nulls: NullBufferBuilder,
    /// Values that are spelled in another way, and their places.
    odd: StringBuilder,
    odd_places: Vec<usize>,
}

impl Quick {
    #[inline]
    fn append(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        if self.values.append_usual(cursor) {
            self.nulls.append_non_null();
            return Ok(());
        }
        self.append_other(cursor)
    }

    fn append_other(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        match cursor.token()? {
            Token::Null => self.append_null(),
            Token::Text(text) => self.append_odd(&text),
            Token::Number(number) if self.values.append_number(number) => self.nulls.append_non_null(),
            // Texts spell times, numbers count them.
            Token::Number(_) if matches!(self.values, Values::Ticks(_)) => return Err(misfit(&self.data_type)),
            Token::Number(number) => self.append_odd(number),
            Token::Truth(truth) => match &mut self.values {
                Values::Truths(values) => {
                    values.append(truth);
                    self.nulls.append_non_null();
                }
                _ => return Err(misfit(&self.data_type)),
            },
            _ => return Err(misfit(&self.data_type)),
        }
        Ok(())
    }

    fn append_odd(&mut self, text: &str) {
        self.odd.append_value(text);
        self.odd_places.push(self.values.len());
        self.values.append_nothing();
        self.nulls.append_non_null();
    }

    fn append_null(&mut self) {
        self.values.append_nothing();
        self.nulls.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        let values: ArrayRef = match &mut self.values {
            Values::Whole { values, .. } => Arc::new(Int64Array::new(Values::take(values).into(), nulls)),
            Values::Floats(values) => Arc::new(Float64Array::new(Values::take(values).into(), nulls)),
            Values::Truths(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Ticks(counts) => {
                let counts: ArrayRef = Arc::new(Int64Array::new(Values::take(counts).into(), nulls));
                read_ticks(&counts, &self.data_type)?
            }
        };
        let values = match values.data_type() == &self.data_type {
            true => values,
            false => arrow_cast::cast(&values, &self.data_type)?,
        };
        let places = std::mem::take(&mut self.odd_places);
        if places.is_empty() {
            return Ok(values);
        }
        let read = read_texts(&self.odd.finish(), &self.data_type)?;
        if read.len() == values.len() {
            return Ok(read);
        }
        let mut order: Vec<(usize, usize)> = (0..values.len()).map(|row| (0, row)).collect();
        places.into_iter().enumerate().for_each(|(at, row)| order[row] = (1, at));
        interleave(&[&values, &read], &order)
    }
}

/// A column of values as they are spelled.
pub(super) struct Spelled {
    data_type: DataType,
    texts: StringBuilder,
}

impl Spelled {
    fn new(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), texts: StringBuilder::with_capacity(0, 0) }
    }

    #[inline]
    fn append(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        if let Some(text) = cursor.plain_text() {
            self.append_text(text);
            return Ok(());
        }
        self.append_other(cursor)
    }

    fn append_other(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        // A column of text has room for any value: lists and objects, too, are as they are written.
        if self.is_text() && matches!(cursor.peek(), Some(b'[' | b'{')) {
            self.append_text(cursor.raw()?);
            return Ok(());
        }
        match cursor.token()? {
            Token::Null => self.append_null(),
            Token::Text(text) => self.append_text(&text),
            Token::Number(number) if !self.is_bytes() => self.append_text(number),
            Token::Truth(truth) if self.is_text() => {
                self.append_text(if truth { "true" } else { "false" });
            }
            _ => return Err(misfit(&self.data_type)),
        }
        Ok(())
    }

    /// Only text spells bytes: the digits of a number are none.
    fn is_bytes(&self) -> bool {
        self.data_type.is_binary() || matches!(self.data_type, DataType::FixedSizeBinary(_))
    }

    fn is_text(&self) -> bool {
        matches!(self.data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    }

    fn append_text(&mut self, text: &str) {
        self.texts.append_value(text);
    }

    fn append_null(&mut self) {
        self.texts.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let texts = self.texts.finish();
        // As many are expected to follow.
        self.texts = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        read_texts(&texts, &self.data_type)
    }
}

pub(super) fn misfit(data_type: &DataType) -> ArrowError {
    ArrowError::JsonError(format!("not a value of type {data_type}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use proptest::prelude::*;

    use super::*;

    /// What a column reads of values of JSON.
    fn read(data_type: &DataType, values: &[String]) -> Option<ArrayRef> {
        let mut leaf = Leaf::new(data_type);
        for value in values {
            let mut cursor = Cursor::new(value.as_bytes()).unwrap();
            leaf.append(&mut cursor).ok()?;
            assert!(cursor.end().is_ok());
        }
        leaf.finish().ok()
    }

    /// The same by their spelling alone.
    fn spelled(data_type: &DataType, values: &[String]) -> Option<ArrayRef> {
        let text = |value: &String| match value.as_bytes()[0] {
            b'n' => Some(None),
            b'"' => Some(serde_json::from_str(value).unwrap()),
            b't' | b'f' if *data_type != DataType::Boolean => None,
            _ => Some(Some(value.clone())),
        };
        let texts: Option<Vec<Option<String>>> = values.iter().map(text).collect();
        read_texts(&StringArray::from(texts?), data_type).ok()
    }

    fn number() -> impl Strategy<Value = String> {
        let edges = [
            "0",
            "-0",
            "-0.0",
            "0.5",
            "1.0",
            "1e2",
            "1E-2",
            "1e400",
            "-1e400",
            "5e-324",
            "2.2250738585072011e-308",
            "127",
            "128",
            "-128",
            "-129",
            "65535",
            "65536",
            "2147483647",
            "2147483648",
            "-2147483648",
            "-2147483649",
            "4294967295",
            "4294967296",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678",
            "1234567890123456789",
            "99999999999999999999999999999999999999",
            "0.1000000000000000055511151231257827021181583404541015625",
        ];
        prop_oneof![
            proptest::sample::select(edges.to_vec()).prop_map(str::to_owned),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<i16>().prop_map(|number| number.to_string()),
            any::<f64>()
                .prop_filter("JSON has no others", |number| number.is_finite())
                .prop_map(|number| format!("{number:?}")),
        ]
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => number(),
            2 => Just("null".to_owned()),
            1 => number().prop_map(|number| format!("\"{number}\"")),
            1 => number().prop_map(|number| format!("\" {number} \"")),
            1 => proptest::sample::select(vec!["true", "false", "\"true\"", "\"FALSE\"", "\"x\"", "\"\"", "\"inf\"", "\"NaN\""]).prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_read_at_once_is_what_its_spelling_says(values in proptest::collection::vec(value(), 0..6)) {
            use DataType::*;
            for data_type in [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float64, Boolean] {
                let (quick, slow) = (read(&data_type, &values), spelled(&data_type, &values));
                prop_assert_eq!(&quick, &slow, "{} of {:?}", data_type, values);
                if let (Float64, Some(quick), Some(slow)) = (data_type, quick, slow) {
                    let bits = |array: &ArrayRef| -> Vec<u64> {
                        array.as_primitive::<Float64Type>().values().iter().map(|value| value.to_bits()).collect()
                    };
                    prop_assert_eq!(bits(&quick), bits(&slow));
                }
            }
        }
    }

    /// Values of times: counts, and texts as sources spell them.
    fn time() -> impl Strategy<Value = String> {
        let spelled = [
            "\"2024-02-29\"",
            "\"2024-02-29T12:00:00.125\"",
            "\"12:30:00\"",
            "\" 1969-12-31 \"",
            "\"x\"",
            "1.5",
            "true",
        ];
        prop_oneof![
            6 => (0i64..80_000).prop_map(|count| count.to_string()),
            1 => any::<i64>().prop_map(|count| count.to_string()),
            3 => proptest::sample::select(spelled[..4].to_vec()).prop_map(str::to_owned),
            1 => proptest::sample::select(spelled.to_vec()).prop_map(str::to_owned),
            2 => Just("null".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn times_are_what_each_of_them_is_alone(values in proptest::collection::vec(time(), 0..6)) {
            use arrow_schema::TimeUnit::{Millisecond, Nanosecond, Second};
            use DataType::*;
            let zoned = Timestamp(Second, Some("Europe/Oslo".into()));
            for data_type in [Date32, Date64, Time32(Millisecond), Time64(Nanosecond), Timestamp(Millisecond, None), zoned] {
                let together = read(&data_type, &values);
                let alone: Option<Vec<ArrayRef>> = values.iter().map(|value| read(&data_type, std::slice::from_ref(value))).collect();
                prop_assert_eq!(together.is_some(), alone.is_some(), "{} of {:?}", data_type, values);
                if let (Some(together), Some(alone)) = (together, alone) {
                    prop_assert_eq!(together.len(), alone.len());
                    for (row, one) in alone.iter().enumerate() {
                        prop_assert_eq!(&together.slice(row, 1), one);
                    }
                }
            }
        }
    }

    #[test]
    fn a_column_is_empty_after_its_values_are_taken() {
        let mut leaf = Leaf::new(&DataType::Int64);
        for (values, expected) in [(["1", "\"2\""], [1, 2]), (["3", "4"], [3, 4])] {
            values.iter().for_each(|value| leaf.append(&mut Cursor::new(value.as_bytes()).unwrap()).unwrap());
            assert_eq!(leaf.len(), 2);
            assert_eq!(*leaf.finish().unwrap(), Int64Array::from(expected.to_vec()));
            assert_eq!(leaf.len(), 0);
        }
    }
}
