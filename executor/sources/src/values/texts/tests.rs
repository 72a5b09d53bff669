//! Every type against every spelling: as a CSV field, as text and as a number in a line of JSON, and within lists, structs
//! and maps.

use arrow_schema::Field;
use flowc_columns::testing::simple_types;
use flowc_planner::plan::{BadRows, Format};

use super::*;
use crate::testing::{Folder, csv, schema, text, with_bad_rows};
use crate::{SourceFile, infer_schema};

/// The types that have values in text.
fn types() -> Vec<DataType> {
    simple_types().into_iter().filter(|data_type| unreadable(data_type).is_none()).collect()
}

/// Spellings without quotes and commas. Those that JSON has as numbers or truth values are tried as such, too.
const SPELLINGS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "+1",
    "5",
    "007",
    "00501",
    "127",
    "128",
    "-129",
    "255",
    "256",
    "32768",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1.0",
    "1.5",
    "0.125",
    "-0.010",
    "1e2",
    "1E-2",
    "1e400",
    "-1e39",
    "65520.5",
    ".5",
    "5.",
    ".",
    "-",
    "e5",
    "1e",
    "0x10",
    "1_000",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "Infinity",
    "true",
    "TRUE",
    "false",
    "yes",
    "t",
    "null",
    "none",
    "ab",
    "abcd",
    "ABc",
    "0g",
    "19700102",
    "20240229",
    "20240230",
    "86399",
    "86400",
    "2024-02-29",
    "2024-02-30",
    "2024-2-9",
    "+12000-01-01",
    "-0001-01-01",
    "2024-02-29T12:00:00",
    "2024-02-29 12:00:00",
    "2024-02-29T12:00:00Z",
    "2024-02-29T12:00:00+02:00",
    "2024-02-29T12:00:00.5",
    "2024-02-29T12:00:00.123456",
    "2024-02-29T12:00:00.123456789Z",
    "2024-02-29T12:00:60",
    "2016-12-31T23:59:60Z",
    "2024-02-29T24:00:00",
    "2024-02-29T00:00:00Z",
    "1500-01-01T00:00:00",
    "2024-03-31T02:30:00",
    "12:00",
    "12:00:00",
    "23:59:59",
    "23:59:60",
    "12:00:60",
    "24:00:00",
    "00:00:00.001",
    "00:00:00.0001",
    "00:00:00.000000001",
    "11:59:59 PM",
    "x",
    " 5 ",
    " 5",
    "5\t",
    " ",
    " 1.5 ",
    " inf",
    " true",
    "false ",
    " ab12 ",
    "abcd ",
    "abcdef",
    " 2024-02-29",
    " 2024-02-29T12:00:00Z ",
    "12:00:00 ",
    "- 5",
    "\u{a0}5",
    "é",
    "999.99",
    "999.991",
    "1000",
    "99900",
    "12345",
    "0.000000000000000000000000000000000000000000000000000000000000000001",
];

/// The values of a column as they are read: of each record the text, or nothing if it is a bad row.
fn read_all(format: Format, records: &str, column: DataType) -> Vec<Option<String>> {
    let columns = schema(&[("v", column, true)]);
    let table = Folder::new().read(records, &with_bad_rows(format, BadRows::Stream), &columns).unwrap();
    let bad: Vec<usize> = table.rejects.iter().map(|bad| bad.split('|').nth(1).unwrap().parse().unwrap()).collect();
    let number = table.rows.len() + bad.len();
    let mut good = table.rows.into_iter();
    (1..=number).map(|row| if bad.contains(&row) { None } else { good.next() }).collect()
}

/// The same of lines of JSON, each with one of these values.
fn read_json<'a>(
    values: impl IntoIterator<Item = &'a str>,
    (open, close): (&str, &str),
    column: DataType,
) -> Vec<Option<String>> {
    let lines: String = values.into_iter().map(|value| format!("{{\"v\":{open}{value}{close}}}\n")).collect();
    read_all(Format::JsonLines, &lines, column)
}

fn quoted() -> Vec<String> {
    SPELLINGS.iter().map(|spelling| serde_json::to_string(spelling).unwrap()).collect()
}

fn read(format: Format, record: &str, column: DataType) -> Option<String> {
    let mut values = read_all(format, record, column);
    assert_eq!(values.len(), 1, "{record}");
    values.remove(0)
}

fn nested(item: &DataType) -> Vec<(DataType, &'static str, &'static str)> {
    let field = |name: &str| Field::new(name, item.clone(), true);
    let entries = DataType::Struct(vec![Field::new("key", DataType::Utf8, false), field("value")].into());
    let inner = DataType::Struct(vec![field("a")].into());
    vec![
        (DataType::new_list(item.clone(), true), "[", "]"),
        (DataType::new_large_list(item.clone(), true), "[", "]"),
        (DataType::new_fixed_size_list(item.clone(), 1, true), "[", "]"),
        (DataType::ListView(Arc::new(field("item"))), "[", "]"),
        (DataType::Struct(vec![field("a")].into()), "{\"a\":", "}"),
        (DataType::Map(Arc::new(Field::new("entries", entries, false)), false), "{\"k\":", "}"),
        (DataType::new_list(inner, true), "[{\"a\":", "}]"),
    ]
}

#[test]
fn a_spelling_is_a_value_everywhere_or_nowhere() {
    let quoted = quoted();
    let quoted = || quoted.iter().map(String::as_str);
    for data_type in types() {
        let expected = read_all(csv(), &format!("v\n{}\n", SPELLINGS.join("\n")), data_type.clone());
        assert_eq!(expected.len(), SPELLINGS.len());
        assert_eq!(read_json(quoted(), ("", ""), data_type.clone()), expected, "{data_type}");
        for (column, open, close) in nested(&data_type) {
            let values = read_json(quoted(), (open, close), column.clone());
            for ((spelling, value), expected) in SPELLINGS.iter().zip(values).zip(&expected) {
                let agree = match (&value, expected) {
                    (Some(value), Some(expected)) => value.contains(expected.as_str()),
                    (value, expected) => value.is_none() && expected.is_none(),
                };
                assert!(agree, "{spelling} as {column}: {value:?}, and {expected:?} by itself");
            }
        }
    }
}

#[test]
fn white_space_around_a_value_is_no_part_of_it_but_in_text() {
    let bare: Vec<&str> = SPELLINGS.iter().copied().filter(|spelling| !is_padded(spelling)).collect();
    let csv_file = |values: &[String]| format!("v\n{}\n", values.join("\n"));
    for data_type in types() {
        let is_text = crate::text::quoted::is_text(&data_type);
        for (left, right) in [(" ", ""), ("", " "), ("\t ", " \t")] {
            let padded: Vec<String> = bare.iter().map(|value| format!("{left}{value}{right}")).collect();
            let expected: Vec<Option<String>> = match is_text {
                true => padded.iter().cloned().map(Some).collect(),
                false => read_all(
                    csv(),
                    &csv_file(&bare.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()),
                    data_type.clone(),
                ),
            };
            assert_eq!(read_all(csv(), &csv_file(&padded), data_type.clone()), expected, "csv, {data_type}");
            let json: Vec<String> = padded.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
            let json = read_json(json.iter().map(String::as_str), ("", ""), data_type.clone());
            assert_eq!(json, expected, "jsonl, {data_type}");
            for (value, expected) in padded.iter().zip(expected) {
                let folder = crate::files::partitions::read(value, &data_type).ok();
                let folder = folder.map(|column| text(&RecordBatch::try_from_iter([("v", column)]).unwrap()).remove(0));
                assert_eq!(folder, expected, "the folder `v={value}`, {data_type}");
            }
        }
    }
}

#[test]
fn numbers_and_truth_values_are_what_their_texts_are_but_for_counts_of_time_and_bytes() {
    let is_bytes = |t: &DataType| t.is_binary() || matches!(t, DataType::FixedSizeBinary(_));
    let is_literal = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| !value.is_null());
    let literals: Vec<&str> = SPELLINGS.iter().copied().filter(|t| is_literal(t) && t.trim() == *t).collect();
    let texts: Vec<String> = literals.iter().map(|literal| format!("\"{literal}\"")).collect();
    for data_type in types() {
        let numbers = read_json(literals.iter().copied(), ("", ""), data_type.clone());
        if is_bytes(&data_type) {
            assert!(numbers.iter().all(Option::is_none), "{data_type}");
        } else if !is_time(&data_type) {
            assert_eq!(
                numbers,
                read_json(texts.iter().map(String::as_str), ("", ""), data_type.clone()),
                "{data_type}"
            );
        }
        for (column, open, close) in nested(&data_type) {
            let inner = read_json(literals.iter().copied(), (open, close), column.clone());
            let verdicts = |values: &[Option<String>]| values.iter().map(Option::is_some).collect::<Vec<_>>();
            assert_eq!(verdicts(&inner), verdicts(&numbers), "{column}");
        }
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    let cases = [
        (DataType::Boolean, "TRUE", "true"),
        (DataType::Int64, "007", "7"),
        (DataType::Float64, "1e2", "100.0"),
        (DataType::Float32, "inf", "inf"),
        (DataType::Binary, "ABc0", "abc0"),
        (DataType::FixedSizeBinary(2), "ab12", "ab12"),
        (DataType::Date64, "2024-02-29T12:00:00", "2024-02-29T12:00:00"),
        (DataType::Time32(TimeUnit::Second), "11:59:59 PM", "23:59:59"),
        (DataType::Decimal128(4, -2), "99900", "99900"),
        (DataType::Decimal256(40, 3), "-1E-2", "-0.010"),
        (DataType::Duration(TimeUnit::Second), "90", "PT90S"),
    ];
    for (data_type, spelling, expected) in cases {
        let value = read(csv(), &format!("v\n{spelling}\n"), data_type.clone());
        assert_eq!(value.as_deref(), Some(expected), "{spelling} as {data_type}");
    }
}

#[test]
fn no_value_is_rounded_cut_or_carried_over() {
    let cases = [
        (DataType::Float64, "1e400"),
        (DataType::Float32, "1e39"),
        (DataType::Float16, "70000"),
        (DataType::Decimal32(5, 2), "0.001"),
        (DataType::Decimal128(38, 0), "99999999999999999999999999999999999999999"),
        (DataType::Decimal128(4, -2), "12345"),
        (DataType::Int8, "128"),
        (DataType::Time32(TimeUnit::Second), "23:59:60"),
        (DataType::Time64(TimeUnit::Microsecond), "12:30:60"),
        (DataType::Timestamp(TimeUnit::Second, None), "2016-12-31T23:59:60Z"),
        (DataType::Null, "x"),
        (DataType::Binary, "abc"),
        (DataType::FixedSizeBinary(2), "ab"),
    ];
    for (data_type, spelling) in cases {
        assert!(!is_value(spelling, &data_type), "{spelling} as {data_type}");
    }
    let digits = "9".repeat(300);
    assert!(!is_value(&digits, &DataType::Decimal256(76, 0)) && !is_value(&digits, &DataType::Int64));
    assert!(is_value(&("1".to_owned() + &"0".repeat(300) + "e-300"), &DataType::Decimal32(1, 0)));
}

#[test]
fn counts_of_time_are_numbers_in_json() {
    let json = |value: &str, data_type: DataType| read(Format::JsonLines, &format!("{{\"v\":{value}}}\n"), data_type);
    assert_eq!(json("19700102", DataType::Date64).as_deref(), Some("1970-01-01T05:28:20.102"));
    assert_eq!(json("\"19700102\"", DataType::Date64).as_deref(), Some("1970-01-02T00:00:00"));
    assert_eq!(json("20240229", DataType::Date32), None, "a day in the year 57385");
    assert_eq!(json("86399", DataType::Time32(TimeUnit::Second)).as_deref(), Some("23:59:59"));
    for none in ["86400", "-1", "1.5", "1e2", "\"5\"", "true"] {
        assert_eq!(json(none, DataType::Time32(TimeUnit::Second)), None, "{none}");
    }
}

#[test]
fn types_that_no_text_spells_are_refused_whole_and_in_part() {
    let interval = DataType::Interval(arrow_schema::IntervalUnit::YearMonth);
    let invalid = [interval, DataType::Time32(TimeUnit::Nanosecond), DataType::Time64(TimeUnit::Second)];
    for data_type in invalid {
        for (column, ..) in nested(&data_type).into_iter().chain([(data_type.clone(), "", "")]) {
            let columns = schema(&[("v", column, true)]);
            let error = Folder::new().read("{}\n", &with_bad_rows(Format::JsonLines, BadRows::Fail), &columns);
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains(&format!("column `v` is {data_type}, which no JSON value can be read as")),
                "{error}"
            );
        }
        let columns = schema(&[("v", data_type, true)]);
        assert!(Folder::new().read("v\n", &with_bad_rows(csv(), BadRows::Fail), &columns).is_err());
    }
}

#[test]
fn a_dictionary_has_room_for_its_values_or_says_so() {
    let dictionary = |key: DataType| DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8));
    let inner = DataType::Struct(vec![Field::new("d", dictionary(DataType::Int8), true)].into());
    let values = |number: usize| (0..number).map(|i| format!("k{i}")).collect::<Vec<_>>();
    let as_csv = |number| "v\n".to_owned() + &values(number).join("\n");
    let as_json = |number| values(number).iter().map(|v| format!("{{\"v\":\"{v}\"}}\n")).collect::<String>();
    let in_json = |number| values(number).iter().map(|v| format!("{{\"v\":{{\"d\":\"{v}\"}}}}\n")).collect::<String>();
    let read = |format: Format, records: String, column: DataType, bad_rows| {
        Folder::new().read(records, &with_bad_rows(format, bad_rows), &schema(&[("v", column, true)]))
    };
    for bad_rows in [BadRows::Fail, BadRows::Skip, BadRows::Stream] {
        let cases = [
            (csv(), as_csv(129), as_csv(128), dictionary(DataType::Int8)),
            (Format::JsonLines, as_json(129), as_json(128), dictionary(DataType::Int8)),
            (Format::JsonLines, in_json(129), in_json(128), inner.clone()),
        ];
        for (format, too_many, enough, column) in cases {
            let error = read(format.clone(), too_many, column.clone(), bad_rows).unwrap_err().to_string();
            assert!(error.starts_with("input: the column `v` does not fit "), "{error}");
            assert!(error.contains("\"Dictionary(Int32, Utf8)\""), "{error}");
            assert_eq!(read(format, enough, column, bad_rows).unwrap().rows.len(), 128);
        }
    }
    assert_eq!(read(csv(), as_csv(70_000), dictionary(DataType::Int32), BadRows::Fail).unwrap().rows.len(), 70_000);
}

/// A CSV file of one column of these fields, and the type that is inferred for it.
fn inferred(fields: &[&str]) -> (Folder, SourceFile, SchemaRef) {
    let folder = Folder::new();
    let file = folder
        .write("a.csv", format!("v,w\n{}\n", fields.iter().map(|f| format!("{f},x")).collect::<Vec<_>>().join("\n")));
    let schema = infer_schema(std::slice::from_ref(&file), &with_bad_rows(csv(), BadRows::Fail)).unwrap();
    (folder, file, schema)
}

#[test]
fn an_inferred_type_holds_for_every_pair_of_spellings() {
    let names: Vec<String> = (0..SPELLINGS.len()).map(|i| format!("c{i}")).collect();
    let spec = with_bad_rows(csv(), BadRows::Fail);
    for &first in SPELLINGS {
        let folder = Folder::new();
        let firsts = vec![first; SPELLINGS.len()];
        let rows = [names.join(","), firsts.join(","), SPELLINGS.join(",")];
        let file = folder.write("a.csv", rows.join("\n"));
        let schema = infer_schema(std::slice::from_ref(&file), &spec).unwrap();
        let read = crate::testing::Table::read(&folder.open(&file, &spec, &schema).unwrap());
        assert!(read.is_ok(), "{first}: {:?}", read.err());
    }
}

#[test]
fn codes_are_text() {
    let data_type = |fields: &[&str]| inferred(fields).2.field(0).data_type().clone();
    for codes in [&["00501", "2134"][..], &["1", "007"], &["-01"], &["00"], &["1.5", "007.5"], &["01e5", "7"]] {
        assert_eq!(data_type(codes), DataType::Utf8, "{codes:?}");
    }
    assert_eq!(data_type(&["0", "-0", "10"]), DataType::Int64);
    assert_eq!(data_type(&["0.5", "-0.25", "0"]), DataType::Float64);
    assert_eq!(data_type(&["2024-02-29", "2024-02-30"]), DataType::Utf8);
    assert_eq!(data_type(&["2024-02-29T12:00:00.123456789", "1500-01-01"]), DataType::Utf8);
    assert_eq!(data_type(&["1e400", "1.5"]), DataType::Utf8);
}

#[test]
fn columns_of_any_type_come_back() {
    let write = |batch: &RecordBatch| -> String {
        let json =
            |value: String| if value == "~" { "null".to_owned() } else { serde_json::to_string(&value).unwrap() };
        text(batch).into_iter().map(|value| format!("{{\"v\":{}}}\n", json(value))).collect()
    };
    // Times of a named zone are written in UTC: the offsets that a zone once had are no whole minutes.
    let is_written = |data_type: &DataType| match data_type {
        DataType::Timestamp(_, Some(zone)) => &**zone != "Europe/Berlin",
        other => !matches!(other, DataType::Null | DataType::Duration(_)),
    };
    for data_type in types().into_iter().filter(is_written) {
        let columns = schema(&[("v", data_type.clone(), true)]);
        let read = |records: String| -> Vec<RecordBatch> {
            let (folder, spec) = (Folder::new(), with_bad_rows(Format::JsonLines, BadRows::Skip));
            let open = folder.open(&folder.write("input", records), &spec, &columns).unwrap();
            let segment = crate::testing::segments(&open).remove(0);
            open.read(&segment, None, &[0]).unwrap().map(|batch| batch.unwrap()).collect()
        };
        let spelled = quoted().into_iter().chain(["null".to_owned()]).map(|value| format!("{{\"v\":{value}}}\n"));
        for batch in read(spelled.collect()) {
            let again: Vec<String> = read(write(&batch)).iter().flat_map(text).collect();
            assert_eq!(again, text(&batch), "{data_type}");
        }
    }
}
