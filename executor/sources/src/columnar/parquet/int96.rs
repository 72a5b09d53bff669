//! Parquet's old type of times, INT96: the number of a day and the nanoseconds of that day. It has no unit, and the
//! decoder, which takes any, wraps around and cuts; so values are looked at first.

use arrow_array::temporal_conversions::timestamp_s_to_datetime;
use arrow_schema::TimeUnit;
use parquet::data_type::Int96;

const EPOCH: i128 = 2_440_588;
const NANOSECONDS_A_DAY: i128 = 86_400_000_000_000;

fn nanoseconds(value: &Int96) -> i128 {
    let [low, high, day] = [value.data()[0], value.data()[1], value.data()[2]];
    let of_day = (i64::from(high) << 32) + i64::from(low);
    (i128::from(day as i32) - EPOCH) * NANOSECONDS_A_DAY + i128::from(of_day)
}

/// A value as text that is out of the range of a unit, or more exact than it.
pub(super) fn misfit(value: &Int96, unit: TimeUnit) -> Option<String> {
    let (nanoseconds, tick) = (nanoseconds(value), tick(unit));
    let fits = nanoseconds % tick == 0 && i64::try_from(nanoseconds / tick).is_ok();
    (!fits).then(|| text(value))
}

fn tick(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// As other times are shown, where there is such a date.
fn text(value: &Int96) -> String {
    let nanoseconds = nanoseconds(value);
    let (seconds, rest) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    let seconds = i64::try_from(seconds).ok();
    match seconds.and_then(timestamp_s_to_datetime) {
        Some(time) if rest > 0 => format!("{}.{rest:09}", time.format("%Y-%m-%dT%H:%M:%S")),
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S").to_string(),
        None => format!("day {} of the Julian calendar", value.data()[2] as i32),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flowc_planner::plan::Format;
    use parquet::arrow::ARROW_SCHEMA_META_KEY;
    use parquet::data_type::Int96Type;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::testing::{read, refusal};
    use super::*;
    use crate::testing::{Folder, schema, spec};

    const DAY: i64 = 86_400_000_000_000;

    /// A time of INT96: days and nanoseconds since 1970.
    fn time(days: i64, nanoseconds: i64) -> Int96 {
        let mut time = Int96::new();
        time.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, (days + 2_440_588) as u32);
        time
    }

    /// A file with a column `t`; none is a null.
    fn times(times: &[Option<Int96>], note: Option<&str>) -> Vec<u8> {
        let levels: Vec<i16> = times.iter().map(|time| i16::from(time.is_some())).collect();
        let values: Vec<_> = times.iter().flatten().copied().collect();
        int96("message m { optional int96 t; }", &values, &levels, None, note)
    }

    fn int96(
        message: &str,
        values: &[Int96],
        definitions: &[i16],
        repetitions: Option<&[i16]>,
        note: Option<&str>,
    ) -> Vec<u8> {
        let note = note.map(|note| vec![KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), note.to_owned())]);
        let properties = WriterProperties::builder().set_key_value_metadata(note).build();
        let message = Arc::new(parse_message_type(message).unwrap());
        let mut writer = SerializedFileWriter::new(Vec::new(), message, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int96Type>().write_batch(values, Some(definitions), repetitions).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.into_inner().unwrap()
    }

    fn as_unit(bytes: &[u8], data_type: &str) -> Result<Vec<String>, String> {
        let schema = schema(&[("t", data_type.parse().unwrap(), true)]);
        Folder::new()
            .read(bytes, &spec(Format::Parquet), &schema)
            .map(|table| table.rows)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn times_of_int96_are_microseconds_and_reach_all_dates() {
        let days = [2_932_896, 19_782, -719_162, -135_140, 120_530];
        let values: Vec<_> = days.iter().map(|&days| Some(time(days, 0))).chain([None, Some(time(0, 1000))]).collect();
        let expected = [
            "9999-12-31T00:00:00",
            "2024-02-29T00:00:00",
            "0001-01-01T00:00:00",
            "1600-01-01T00:00:00",
            "2300-01-01T00:00:00",
            "~",
            "1970-01-01T00:00:00.000001",
        ];
        assert_eq!(read(&times(&values, None)).unwrap().rows, expected);
    }

    #[test]
    fn times_of_int96_are_read_in_the_declared_unit_where_they_fit_it() {
        let whole = times(&[Some(time(1, 0)), Some(time(-1, 0))], None);
        for unit in ["s", "ms", "µs", "ns"] {
            let expected = ["1970-01-02T00:00:00", "1969-12-31T00:00:00"];
            assert_eq!(as_unit(&whole, &format!("Timestamp({unit})")).unwrap(), expected, "{unit}");
            let expected = ["1970-01-02T00:00:00Z", "1969-12-31T00:00:00Z"];
            assert_eq!(as_unit(&whole, &format!("Timestamp({unit}, \"UTC\")")).unwrap(), expected, "{unit}");
        }
        let fine = times(&[None, Some(time(0, 0)), Some(time(1, 1_500))], None);
        assert_eq!(as_unit(&fine, "Timestamp(ns)").unwrap()[2], "1970-01-02T00:00:00.000001500");
        for unit in ["s", "ms", "µs"] {
            let error = as_unit(&fine, &format!("Timestamp({unit})")).unwrap_err();
            assert!(error.contains("row 3, column `t`: 1970-01-02T00:00:00.000001500 is no value of type"), "{error}");
        }
        let far = times(&[Some(time(0, 0)), None, Some(time(2_932_896, DAY - 1_000_000_000))], None);
        let error = as_unit(&far, "Timestamp(ns)").unwrap_err();
        assert!(error.contains("row 3, column `t`: 9999-12-31T23:59:59 is no value of type Timestamp(ns)"), "{error}");
        let farther = times(&[Some(time(2_000_000_000, 0))], None);
        let error = refusal(&farther);
        assert!(error.contains("row 1, column `t`: day 2002440588 of the Julian calendar is no value"), "{error}");
        assert_eq!(as_unit(&farther, "Timestamp(s)").unwrap().len(), 1);
        let error = as_unit(&whole, "Int64").unwrap_err();
        assert!(error.contains("the column `t` is Timestamp(µs), where Int64 is expected"), "{error}");
    }

    #[test]
    fn times_of_int96_within_lists_are_times_too() {
        let message = "message m { optional group t (LIST) { repeated group list { optional int96 element; } } }";
        let values = [time(0, 0), time(2_932_896, 0), time(1, 1)];
        let bytes = int96(message, &values[..2], &[3, 3, 1, 2], Some(&[0, 1, 0, 0]), None);
        assert_eq!(read(&bytes).unwrap().rows, ["[1970-01-01T00:00:00, 9999-12-31T00:00:00]", "[]", "[~]"]);
        let bytes = int96(message, &values, &[3, 3, 1, 2, 3], Some(&[0, 1, 0, 0, 0]), None);
        assert!(refusal(&bytes).contains("row 4, column `t`: 1970-01-02T00:00:00.000000001 is no value"));
        let nanoseconds = as_unit(&bytes, "List(Timestamp(ns))").unwrap_err();
        assert!(nanoseconds.contains("row 1, column `t`: 9999-12-31T00:00:00 is no value"), "{nanoseconds}");
    }
}
