//! What made an inferred column what it is, for messages: where a value does not fit it, people want to know which value
//! the type comes from, and which type holds both.

use arrow_schema::{DataType, SchemaRef};
use flowc_planner::plan::{CsvDialect, Format, SourceSpec};

use crate::columnar::convert::converts;
use crate::error::SourceError;
use crate::files::part_bytes::PartBytes;
use crate::infer::csv_types::CsvColumns;
use crate::infer::schema::{CsvSample, SAMPLE_RECORDS, Sample, infer_columns};
use crate::infer::shape::Shape;
use crate::text::framing::{CsvFraming, Framing};
use crate::text::json::{Cursor, check};

/// How much of a value is shown.
const SHOWN: usize = 60;

/// An inferred column that a file does not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Basis {
    /// Its type, as it would be inferred now; none if it would not be there.
    pub inferred: Option<DataType>,
    /// Where the type comes from: `row 1 of a.csv ("5")`, or just a file.
    pub origin: Option<String>,
    /// A type that holds what the column was inferred from and what does not fit it.
    pub holds_both: Option<DataType>,
}

/// Says what the column that an error is about would be inferred from now; none where it can't be told.
pub(crate) fn basis(files: &[impl PartBytes], spec: &SourceSpec, error: &SourceError) -> Option<Basis> {
    let column = error.column()?;
    let schema = infer_columns(files, spec).ok()?;
    let inferred = schema.field_with_name(column).ok().map(|field| field.data_type().clone());
    let (origin, holds_both) = match (&spec.format, error) {
        (_, SourceError::FolderValue { .. }) => return None,
        (Format::Csv(dialect), _) => of_csv(files, spec, dialect, column, error)?,
        (Format::JsonLines, _) => of_json(files, spec, column, error)?,
        _ => (files.first().map(|file| file.name().to_owned()), of_types(&schema, error)),
    };
    Some(Basis { inferred, origin, holds_both })
}

/// Where a column's type comes from, and the type that holds a bad row's value too.
type Origin = (Option<String>, Option<DataType>);

fn of_csv(
    files: &[impl PartBytes],
    spec: &SourceSpec,
    dialect: &CsvDialect,
    column: &str,
    error: &SourceError,
) -> Option<Origin> {
    let framing = Framing::Csv(CsvFraming::new(dialect));
    let sample = Sample::telling(files, spec, framing, usize::from(dialect.header)).ok()?;
    let CsvSample { names, rows } = CsvSample::read(&sample, dialect).ok()?;
    let place = names.iter().position(|name| name == column)?;
    let mut columns = CsvColumns::new(names.len(), Some(&dialect.null));
    let (mut kind, mut origin) = (None, None);
    for (row, record) in (1..).zip(&rows) {
        columns.add(record);
        if columns.kind(place) != kind {
            kind = columns.kind(place);
            origin = Some(row_of(&sample.name, row, &format!("{:?}", String::from_utf8_lossy(&record[place]))));
        }
    }
    let holds_both = bad_record(error).and_then(|record| {
        let bad = crate::text::dialect::records(dialect, record).into_byte_records().next()?.ok()?;
        columns.add(&bad);
        columns.types().nth(place)
    });
    Some((origin, holds_both))
}

fn of_json(files: &[impl PartBytes], spec: &SourceSpec, column: &str, error: &SourceError) -> Option<Origin> {
    let sample = Sample::telling(files, spec, Framing::JsonLines, 0).ok()?;
    let (mut shape, mut data_type, mut origin) = (Shape::Nothing, None, None);
    for (row, record) in (1..).zip(sample.records(Framing::JsonLines).take(SAMPLE_RECORDS)) {
        add_record(&mut shape, record);
        let now = shape.member(column).filter(|shape| **shape != Shape::Nothing).map(Shape::data_type);
        if now != data_type {
            data_type = now;
            origin = member(record, column).map(|value| row_of(&sample.name, row, value));
        }
    }
    let holds_both = bad_record(error).and_then(|record| {
        add_record(&mut shape, record);
        shape.member(column).map(Shape::data_type)
    });
    Some((origin, holds_both))
}

fn add_record(shape: &mut Shape, record: &[u8]) {
    if matches!(check(record), Ok(true)) {
        // A record that was checked is an object.
        let _ = Cursor::new(record).and_then(|mut cursor| shape.add(&mut cursor));
    }
}

/// The text of an object's member.
fn member<'r>(record: &'r [u8], name: &str) -> Option<&'r str> {
    let mut cursor = Cursor::new(record).ok()?;
    cursor.token().ok()?;
    while let Some(next) = cursor.next_member().ok()? {
        let value = cursor.raw().ok()?;
        if next == name {
            return Some(value);
        }
    }
    None
}

/// Of the types that files have: the first that both convert to, from the narrowest.
fn of_types(schema: &SchemaRef, error: &SourceError) -> Option<DataType> {
    use DataType::{Float64, Int32, Int64, LargeBinary, LargeUtf8};
    use arrow_schema::TimeUnit::{Microsecond, Millisecond, Nanosecond};
    match error {
        SourceError::TypeDiffers { expected, found, .. } => {
            let zone = match &**found {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            let instant = |unit| DataType::Timestamp(unit, zone.clone());
            let wider = [Int32, Int64, Float64, LargeUtf8, LargeBinary].into_iter();
            let wider = wider.chain([Millisecond, Microsecond, Nanosecond].map(instant));
            let mut candidates = [(**found).clone(), (**expected).clone()].into_iter().chain(wider);
            candidates.find(|to| converts(expected, to) && converts(found, to))
        }
        SourceError::UnexpectedNull { column, .. } => Some(schema.field_with_name(column).ok()?.data_type().clone()),
        _ => None,
    }
}

fn bad_record(error: &SourceError) -> Option<&[u8]> {
    match error {
        SourceError::BadRow { record, .. } => Some(record),
        _ => None,
    }
}

fn row_of(file: &str, row: usize, value: &str) -> String {
    let start: String = value.chars().take(SHOWN).collect();
    let rest = if start.len() < value.len() { "..." } else { "" };
    format!("row {row} of {file} ({start}{rest})")
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::BadRows;

    use super::*;
    use crate::infer_schema;
    use crate::testing::{Folder, Table, csv, spec, with_bad_rows};

    /// What is said of two files, of which the second does not fit what is inferred.
    fn told(format: Format, first: &str, second: &str) -> (Option<String>, String) {
        let (folder, spec) = (Folder::new(), with_bad_rows(format, BadRows::Fail));
        let files = [folder.write("a", first), folder.write("b", second)];
        let schema = infer_schema(&files, &spec).unwrap();
        let error = folder.open(&files[1], &spec, &schema).and_then(|open| Table::read(&open)).unwrap_err();
        let basis = basis(&files, &spec, &error).unwrap();
        assert_eq!(basis.inferred.as_ref(), Some(schema.field(0).data_type()));
        let both = basis.holds_both.unwrap();
        let declared = crate::testing::schema(&[("v", both.clone(), true)]);
        for file in &files {
            let read = folder.open(file, &spec, &declared).and_then(|open| Table::read(&open));
            assert!(read.is_ok(), "{both} does not hold {first:?} and {second:?}");
        }
        (basis.origin, both.to_string())
    }

    #[test]
    fn the_value_that_made_a_column_what_it_is_and_a_type_that_holds_both() {
        for (first, second, origin, both) in [
            ("v\n1\n2\n", "v\n1.5\n", "row 1 of a (\"1\")", "Float64"),
            ("v\n\"\"\n1\n1.5\n2\n", "v\nx\n", "row 3 of a (\"1.5\")", "Utf8"),
            ("v\n2024-01-01\n", "v\n2024-01-01T10:00:00.5\n", "row 1 of a (\"2024-01-01\")", "Timestamp(ms)"),
            ("v\ntrue\n", "v\n1\n", "row 1 of a (\"true\")", "Utf8"),
            ("v\n7\n", "v\n007\n007x\n", "row 1 of a (\"7\")", "Utf8"),
        ] {
            assert_eq!(told(csv(), first, second), (Some(origin.to_owned()), both.to_owned()));
        }
        let line = |value: &str| format!("{{\"v\":{value}}}\n");
        for (first, second, origin, both) in [
            ("1", "1.5", "row 2 of a (1)", "Float64"),
            ("[1]", "[\"x\"]", "row 2 of a ([1])", "List(Utf8)"),
            ("{\"a\":1}", "7", "row 2 of a ({\"a\":1})", "Utf8"),
            ("18446744073709551615", "-1", "row 2 of a (18446744073709551615)", "Utf8"),
        ] {
            let first = line("null") + &line(first);
            assert_eq!(told(Format::JsonLines, &first, &line(second)), (Some(origin.to_owned()), both.to_owned()));
        }
    }

    #[test]
    fn a_first_file_of_other_columns_is_said_to_be_the_origin() {
        let folder = Folder::new();
        let write = |name: &str, column: arrow_array::ArrayRef| {
            let batch = arrow_array::RecordBatch::try_from_iter([("v", column)]).unwrap();
            let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            folder.write(name, writer.into_inner().unwrap())
        };
        let files = [
            write("a", std::sync::Arc::new(arrow_array::Int32Array::from(vec![1]))),
            write("b", std::sync::Arc::new(arrow_array::Int64Array::from(vec![1]))),
        ];
        let spec = spec(Format::Parquet);
        let schema = infer_schema(&files, &spec).unwrap();
        let error = folder.open(&files[1], &spec, &schema).err().unwrap();
        let expected =
            Basis { inferred: Some(DataType::Int32), origin: Some("a".to_owned()), holds_both: Some(DataType::Int64) };
        assert_eq!(basis(&files, &spec, &error), Some(expected));
    }
}
