//! Types of columns by their texts: which are accepted, and which one a text that is not was meant to be.

use arrow_schema::DataType;

use crate::diagnostic::nearest;

/// Simple types by their Arrow names and by the names that people use, in lower case.
const SIMPLE: &[(&str, DataType)] = &[
    ("null", DataType::Null),
    ("boolean", DataType::Boolean),
    ("bool", DataType::Boolean),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int", DataType::Int64),
    ("int64", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float16", DataType::Float16),
    ("float32", DataType::Float32),
    ("float", DataType::Float64),
    ("float64", DataType::Float64),
    ("double", DataType::Float64),
    ("utf8", DataType::Utf8),
    ("string", DataType::Utf8),
    ("text", DataType::Utf8),
    ("largeutf8", DataType::LargeUtf8),
    ("utf8view", DataType::Utf8View),
    ("binary", DataType::Binary),
    ("bytes", DataType::Binary),
    ("largebinary", DataType::LargeBinary),
    ("binaryview", DataType::BinaryView),
    ("date", DataType::Date32),
    ("date32", DataType::Date32),
    ("date64", DataType::Date64),
];

/// Names that other tools have for types, in lower case, with Arrow's for the nearest one.
const ELSEWHERE: &[(&str, &str)] = &[
    ("str", "Utf8"),
    ("char", "Utf8"),
    ("varchar", "Utf8"),
    ("category", "Utf8"),
    ("object", "Utf8"),
    ("json", "Utf8"),
    ("uuid", "Utf8"),
    ("byte", "Int8"),
    ("tinyint", "Int8"),
    ("short", "Int16"),
    ("smallint", "Int16"),
    ("integer", "Int64"),
    ("bigint", "Int64"),
    ("long", "Int64"),
    ("i8", "Int8"),
    ("i16", "Int16"),
    ("i32", "Int32"),
    ("i64", "Int64"),
    ("u8", "UInt8"),
    ("u16", "UInt16"),
    ("u32", "UInt32"),
    ("u64", "UInt64"),
    ("f16", "Float16"),
    ("f32", "Float32"),
    ("f64", "Float64"),
    ("half", "Float16"),
    ("real", "Float32"),
    ("number", "Float64"),
    ("logical", "Boolean"),
    ("blob", "Binary"),
    ("bytea", "Binary"),
    ("varbinary", "Binary"),
    ("decimal", "Decimal128(10, 2)"),
    ("numeric", "Decimal128(10, 2)"),
    ("money", "Decimal128(10, 2)"),
    ("datetime", "Timestamp(us)"),
    ("datetime64", "Timestamp(us)"),
    ("timestamptz", "Timestamp(us, \"UTC\")"),
    ("time", "Time64(us)"),
    ("timedelta", "Duration(us)"),
    ("array", "List(Int64)"),
    ("record", "Struct(\"a\": Int64)"),
];

/// Arrow's types with parameters.
const WITH_PARAMETERS: &[&str] = &[
    "Timestamp(us)",
    "Time32(ms)",
    "Time64(us)",
    "Duration(us)",
    "Decimal32(9, 2)",
    "Decimal64(18, 2)",
    "Decimal128(10, 2)",
    "Decimal256(50, 2)",
    "FixedSizeBinary(16)",
    "List(Int64)",
    "LargeList(Int64)",
    "FixedSizeList(3 x Int64)",
    "Struct(\"a\": Int64)",
];

/// A type by its Arrow text, simple ones in any case.
pub(super) fn parsed(text: &str) -> Option<DataType> {
    let lower = text.trim().to_ascii_lowercase();
    let simple = SIMPLE.iter().find(|(name, _)| *name == lower).map(|(_, data_type)| data_type.clone());
    // The parser recurses into brackets; no column needs many.
    let nested = text.matches('(').count();
    simple.or_else(|| (nested <= 32).then(|| text.parse().ok()).flatten())
}

/// What to write instead of a text that is no type.
pub(super) fn advice(text: &str) -> String {
    match meant(text) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "an Arrow type: Int64, Float64, Utf8, Boolean, Date32, Timestamp(us, \"UTC\"), Decimal128(10, 2), \
                 List(Int64), ..."
            .to_owned(),
    }
}

/// The type that was meant: with the parameters that were given, if it takes them.
fn meant(text: &str) -> Option<String> {
    let respelled = respelled(text);
    if parsed(&respelled).is_some() {
        return Some(respelled);
    }
    named(text.split(['(', '<', '[', ' ']).next()?)
}

/// The type whose name is nearest to a word, among Arrow's names and those of other tools.
fn named(word: &str) -> Option<String> {
    let simple = SIMPLE.iter().map(|(name, data_type)| (*name, data_type.to_string()));
    let elsewhere = ELSEWHERE.iter().map(|(name, arrow)| (*name, (*arrow).to_owned()));
    let with_parameters = WITH_PARAMETERS.iter().map(|arrow| (head(arrow), (*arrow).to_owned()));
    let all: Vec<(&str, String)> = simple.chain(elsewhere).chain(with_parameters).collect();
    let name = nearest(word, all.iter().map(|(name, _)| *name))?;
    all.iter().find(|(known, _)| *known == name).map(|(_, arrow)| arrow.clone())
}

/// A type's text up to its parameters.
fn head(text: &str) -> &str {
    text.split('(').next().unwrap_or(text)
}

/// The text with Arrow's brackets, names and quotes of time zones: `list<string>` is `List(Utf8)`.
fn respelled(text: &str) -> String {
    let text = text.replace(['<', '['], "(").replace(['>', ']'], ")").replace("tz=", "");
    let mut spelled = String::new();
    for (i, part) in text.split('"').enumerate() {
        match i % 2 {
            0 => respell_words(part, &mut spelled),
            _ => spelled.extend(["\"", part, "\""]),
        }
    }
    spelled
}

fn respell_words(text: &str, spelled: &mut String) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !is_of_a_word(c)).unwrap_or(rest.len());
        if end == 0 {
            spelled.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        match named(word) {
            Some(arrow) if after.starts_with('(') => spelled.push_str(head(&arrow)),
            Some(arrow) => spelled.push_str(&arrow),
            None if first.is_alphabetic() && is_zone(word) => spelled.extend(["\"", word, "\""]),
            None => spelled.push_str(word),
        }
        rest = after;
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '/')
}

/// A time zone in a type that is neither in the tz database nor an offset. UTC is known in any case.
pub(super) fn unknown_zone(data_type: &DataType) -> Option<&str> {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => (!is_zone(zone)).then_some(&**zone),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            unknown_zone(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().find_map(|field| unknown_zone(field.data_type())),
        _ => None,
    }
}

fn is_zone(zone: &str) -> bool {
    zone.eq_ignore_ascii_case("utc") || is_offset(zone) || zone.parse::<chrono_tz::Tz>().is_ok()
}

/// `+01:00`, `+0100` or `+01`, less than a day.
fn is_offset(zone: &str) -> bool {
    let digits = match *zone.as_bytes() {
        [b'+' | b'-', a, b] => [a, b, b'0', b'0'],
        [b'+' | b'-', a, b, c, d] | [b'+' | b'-', a, b, b':', c, d] => [a, b, c, d],
        _ => return false,
    };
    digits.iter().all(u8::is_ascii_digit) && (digits[0], digits[1]) < (b'2', b'4')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_type_that_is_advised_is_one() {
        let advised = ELSEWHERE.iter().map(|(_, arrow)| *arrow).chain(WITH_PARAMETERS.iter().copied());
        for arrow in advised {
            assert!(parsed(arrow).is_some(), "{arrow}");
        }
    }

    #[test]
    fn a_name_of_another_tool_is_no_type_but_advised() {
        for (name, arrow) in ELSEWHERE {
            assert_eq!((parsed(name), named(name).as_deref()), (None, Some(*arrow)), "{name}");
        }
    }

    #[test]
    fn every_name_with_two_letters_swapped_is_still_near() {
        let names = SIMPLE.iter().map(|(name, data_type)| (*name, data_type.to_string()));
        for (name, arrow) in names.filter(|(name, _)| name.len() > 4) {
            let mut swapped = name.as_bytes().to_vec();
            swapped.swap(1, 2);
            assert_eq!(named(std::str::from_utf8(&swapped).unwrap()).unwrap(), arrow, "{name}");
        }
    }

    #[test]
    fn parameters_that_were_given_stay() {
        let cases = [
            ("list<string>", "List(Utf8)"),
            ("List(int)", "List(Int64)"),
            ("array<array<double>>", "List(List(Float64))"),
            ("decimal(12,3)", "Decimal128(12,3)"),
            ("Decimal(12, 3)", "Decimal128(12, 3)"),
            ("datetime64[ns]", "Timestamp(ns)"),
            ("timestamp[us, tz=Europe/Berlin]", "Timestamp(us, \"Europe/Berlin\")"),
            ("Timestmap(ms)", "Timestamp(ms)"),
            ("struct(\"int\": str)", "Struct(\"int\": Utf8)"),
            ("varchar(255)", "Utf8"),
            ("timestamp", "Timestamp(us)"),
            ("struct<a: int>", "Struct(\"a\": Int64)"),
        ];
        for (wrong, right) in cases {
            assert_eq!((parsed(wrong), meant(wrong).as_deref()), (None, Some(right)), "{wrong}");
        }
        assert_eq!(meant("colour"), None);
    }
}
