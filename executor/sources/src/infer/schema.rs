//! The columns of a file whose source does not declare them.

use std::collections::BTreeSet;
use std::io::{BufReader, Read};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::plan::{CsvDialect, Format, SourceSpec};

#[cfg(feature = "avro")]
use crate::columnar::avro;
use crate::columnar::ipc;
use crate::columnar::parquet;
use crate::error::SourceError;
use crate::files::list::SourceFile;
use crate::files::marks::skip_bom;
use crate::files::part_bytes::PartBytes;
use crate::files::partitions::with_folders;
use crate::files::spool::{decompress, unreadable};
use crate::files::view::View;
use crate::infer::csv_types::CsvColumns;
use crate::infer::shape::Shape;
use crate::text::csv::names;
use crate::text::dialect::{check_dialect, records};
use crate::text::framing::{CsvFraming, Framing};
use crate::text::json::{Cursor, check};

/// How many records of a text file are looked at.
pub(crate) const SAMPLE_RECORDS: usize = 10_000;

/// How many bytes of a text file are looked at.
const SAMPLE_BYTES: u64 = 64 << 20;

/// The columns of a format that always gives the same ones: `lines` and `bytes`.
pub(crate) fn fixed_schema(format: &Format) -> Option<SchemaRef> {
    let fields = match format {
        Format::Lines => vec![Field::new("line", DataType::Utf8, false)],
        Format::Bytes => {
            vec![Field::new("path", DataType::Utf8, false), Field::new("content", DataType::Binary, false)]
        }
        _ => return None,
    };
    Some(Arc::new(Schema::new(fields)))
}

/// The columns of files. The first Parquet, Arrow or Avro file says them. The first CSV or JSON lines file with rows shows them
/// in its first 10000 records, as far as these make sense; there every column may have nulls, and one that has nothing
/// else is text. Where folders have columns, the names of all files tell these.
///
/// # Errors
/// Besides what is wrong with that file: that there is none.
pub fn infer_schema(files: &[SourceFile], spec: &SourceSpec) -> Result<SchemaRef, SourceError> {
    infer_columns(files, spec)
}

/// The columns of parts of a source, in the same way.
pub(crate) fn infer_columns<O: PartBytes>(files: &[O], spec: &SourceSpec) -> Result<SchemaRef, SourceError> {
    let own = infer_own(files, spec)?;
    if spec.partitions == Some(true) { with_folders(&own, files) } else { Ok(own) }
}

/// The columns that are in the files.
fn infer_own<O: PartBytes>(files: &[O], spec: &SourceSpec) -> Result<SchemaRef, SourceError> {
    if let Some(schema) = fixed_schema(&spec.format) {
        return Ok(schema);
    }
    let first = files.first().ok_or_else(SourceError::no_source)?;
    match &spec.format {
        Format::Csv(dialect) => {
            check_dialect(dialect)?;
            let framing = Framing::Csv(CsvFraming::new(dialect));
            infer_csv(&Sample::telling(files, spec, framing, usize::from(dialect.header))?, dialect)
        }
        Format::JsonLines => infer_json(&Sample::telling(files, spec, Framing::JsonLines, 0)?),
        Format::Parquet => own_columns(first, &parquet::columns(&seekable(first, spec)?)?),
        Format::Arrow => own_columns(first, ipc::Index::load(&seekable(first, spec)?)?.schema()),
        Format::Lines | Format::Bytes | Format::Table => Err(SourceError::no_source()),
        #[cfg(feature = "avro")]
        Format::Avro(_) => own_columns(first, avro::Index::load(&seekable(first, spec)?)?.schema()),
        #[cfg(not(feature = "avro"))]
        Format::Avro(_) => Err(SourceError::unbuilt()),
        Format::Protobuf(_) | Format::Debezium(_) => Err(SourceError::of_records(&spec.format)),
    }
}

/// The columns that a file says it has. Metadata of a whole file (a writer's notes, pandas' index) belongs to none.
fn own_columns(file: &impl PartBytes, schema: &Schema) -> Result<SchemaRef, SourceError> {
    check_names(file.name(), schema)?;
    Ok(Arc::new(Schema::new(schema.fields().clone())))
}

fn seekable(file: &impl PartBytes, spec: &SourceSpec) -> Result<View, SourceError> {
    file.plain(spec.compression, &std::env::temp_dir())
}

/// The start of a text file.
pub(crate) struct Sample {
    pub(crate) name: String,
    bytes: Vec<u8>,
    /// Whether the file is longer.
    cut: bool,
}

impl Sample {
    /// At most so many bytes of a file.
    pub(crate) fn of(file: &impl PartBytes, spec: &SourceSpec, most: u64) -> Result<Self, SourceError> {
        let name = file.name();
        let compression = spec.compression.of(name);
        let broken = |error| unreadable(error, compression, name);
        let plain = decompress(file.reader()?, compression).map_err(broken)?;
        let mut bytes = Vec::new();
        BufReader::new(plain).take(most).read_to_end(&mut bytes).map_err(broken)?;
        let cut = bytes.len() as u64 == most;
        let mark = bytes.len() - skip_bom(name, &bytes)?.len();
        bytes.drain(..mark);
        Ok(Self { name: name.to_owned(), bytes, cut })
    }

    /// The first file with rows, or else the first with a header, or the first. Records up to `header` are no rows.
    pub(crate) fn telling(
        files: &[impl PartBytes],
        spec: &SourceSpec,
        framing: Framing,
        header: usize,
    ) -> Result<Self, SourceError> {
        let mut best: Option<(usize, Self)> = None;
        for file in files {
            let sample = Self::of(file, spec, SAMPLE_BYTES)?;
            let records = sample.records(framing).take(header + 1).count();
            if best.as_ref().is_none_or(|(most, _)| records > *most) {
                best = Some((records, sample));
            }
            if records > header {
                break;
            }
        }
        best.map(|(_, sample)| sample).ok_or_else(SourceError::no_source)
    }

    /// Why nothing could be inferred. A first record that does not end in the sample says more than that it has none.
    fn without_columns(&self, framing: Framing, format: &'static str, why: &str) -> SourceError {
        let file = self.name.clone();
        if self.cut && self.records(framing).next().is_none() {
            return SourceError::RecordTooLong { file, offset: 0, limit: SAMPLE_BYTES as usize };
        }
        SourceError::Damaged { file, format, reason: format!("{why}, so its columns are unknown; declare a schema") }
    }

    /// Why its first record is no JSON object. Arrays and objects over several lines are the usual reasons.
    fn no_object(&self) -> String {
        if let Some(items) = self.bytes.trim_ascii_start().strip_prefix(b"[") {
            return match items.trim_ascii_start().first() {
                Some(b'{') => {
                    "it is a JSON array, and jsonl has an object a line: `jq -c '.[]'` makes one of the other"
                }
                _ => {
                    "it has an array where jsonl has an object a line: `jq -c '{values: .}'` makes an object of each, \
                     with one column `values`"
                }
            }
            .to_owned();
        }
        let first = self.records(Framing::JsonLines).next().map(serde_json::from_slice::<serde_json::Value>);
        match first {
            None => "it is empty".to_owned(),
            Some(Err(error)) => format!("its first line is not one JSON object ({error})"),
            Some(Ok(_)) => "its first line is JSON, but no object (jsonl has an object a line)".to_owned(),
        }
    }

    /// Its first records.
    pub(crate) fn records(&self, framing: Framing) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        let records = std::iter::from_fn(move || {
            let next = if self.cut { framing.record(&self.bytes, at) } else { framing.last_record(&self.bytes, at) };
            let record = next?;
            at = record.end;
            Some(&self.bytes[record])
        });
        records.take(SAMPLE_RECORDS + 1)
    }
}

/// The start of a CSV file: its columns' names, and its rows, good and bad.
pub(crate) struct CsvSample {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<csv::ByteRecord>,
}

impl CsvSample {
    pub(crate) fn read(sample: &Sample, dialect: &CsvDialect) -> Result<Self, SourceError> {
        let framing = Framing::Csv(CsvFraming::new(dialect));
        // One reader for all: to make one takes longer than to read a record.
        let text = sample.records(framing).collect::<Vec<_>>().concat();
        let mut rows = records(dialect, &text[..]).into_byte_records().filter_map(Result::ok);
        let first = rows.next().ok_or_else(|| sample.without_columns(framing, "csv", "it is empty"))?;
        let (names, first) = match dialect.header {
            true => (names(&sample.name, &first)?, None),
            false => ((1..=first.len()).map(|number| format!("column_{number}")).collect(), Some(first)),
        };
        Ok(Self { names, rows: first.into_iter().chain(rows).take(SAMPLE_RECORDS).collect() })
    }
}

fn infer_csv(sample: &Sample, dialect: &CsvDialect) -> Result<SchemaRef, SourceError> {
    let CsvSample { names, rows } = CsvSample::read(sample, dialect)?;
    let mut columns = CsvColumns::new(names.len(), Some(&dialect.null));
    rows.iter().for_each(|row| columns.add(row));
    let types = columns.types();
    let fields = names.iter().zip(types).map(|(name, data_type)| Field::new(name, data_type, true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    check_names(&sample.name, &schema)?;
    Ok(Arc::new(schema))
}

fn check_names(file: &str, schema: &Schema) -> Result<(), SourceError> {
    let mut names = BTreeSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(field) => Err(SourceError::RepeatedColumn { file: file.to_owned(), column: field.name().clone() }),
        None => Ok(()),
    }
}

fn infer_json(sample: &Sample) -> Result<SchemaRef, SourceError> {
    let columns = json_columns(&sample.name, sample.records(Framing::JsonLines).take(SAMPLE_RECORDS))?;
    columns.ok_or_else(|| sample.without_columns(Framing::JsonLines, "jsonl", &sample.no_object()))
}

/// The columns that objects of JSON show; none if there is no object. `name` is for messages.
pub(crate) fn json_columns<'r>(
    name: &str,
    records: impl Iterator<Item = &'r [u8]>,
) -> Result<Option<SchemaRef>, SourceError> {
    let mut shape = Shape::Nothing;
    for record in records {
        // Bad rows say nothing of the columns.
        if matches!(check(record), Ok(true)) {
            let added = Cursor::new(record).and_then(|mut cursor| shape.add(&mut cursor));
            added.map_err(|error| SourceError::Arrow { file: name.to_owned(), reason: error.to_string() })?;
        }
    }
    let fields = shape.columns();
    Ok((!fields.is_empty()).then(|| Arc::new(Schema::new(fields))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, csv, gzip, spec};

    fn infer(name: &str, bytes: &[u8], format: Format) -> Result<Vec<String>, SourceError> {
        let folder = Folder::new();
        Ok(describe(&infer_schema(&[folder.write(name, bytes)], &spec(format))?))
    }

    fn describe(schema: &SchemaRef) -> Vec<String> {
        let describe = |field: &std::sync::Arc<Field>| {
            format!("{} {}{}", field.name(), field.data_type(), if field.is_nullable() { "" } else { " not null" })
        };
        schema.fields().iter().map(describe).collect()
    }

    #[test]
    fn csv_columns_are_guessed_from_values() {
        let text = "n,f,t,e,d\n1,2.5,x,,2024-01-01\n2,3,7,,2024-01-02\n";
        let times = "a,b,c\n2024-01-01T00:00:00Z,2024-01-01T00:00:00,\n,,2024-01-01 00:00:00+02:00\n";
        let expected = ["a Timestamp(s, \"UTC\")", "b Timestamp(s)", "c Timestamp(s, \"UTC\")"];
        assert_eq!(infer("a.csv", times.as_bytes(), csv()).unwrap(), expected);
        let expected = ["n Int64", "f Float64", "t Utf8", "e Utf8", "d Date32"];
        assert_eq!(infer("a.csv", text.as_bytes(), csv()).unwrap(), expected);
        assert_eq!(infer("a.csv.gz", &gzip(text.as_bytes()), csv()).unwrap(), expected);
        assert_eq!(infer("a.csv", b"a,b\n", csv()).unwrap(), ["a Utf8", "b Utf8"]);
    }

    #[test]
    fn bad_rows_do_not_hide_the_columns() {
        assert_eq!(infer("a.csv", b"n,t\n1,a\n2\n3,b,c\n4,\xFF\n", csv()).unwrap(), ["n Int64", "t Utf8"]);
        assert_eq!(infer("a", b"nonsense\n{\"n\":1}\n[]\n", Format::JsonLines).unwrap(), ["n Int64"]);
    }

    #[test]
    fn a_file_without_columns_or_with_one_twice_is_an_error() {
        assert!(infer("a.csv", b"", csv()).unwrap_err().to_string().contains("declare a schema"));
        assert!(infer("a.csv", b"\xFF\xFEa\0\n\0", csv()).unwrap_err().to_string().contains("it is UTF-16; convert"));
        assert!(infer("a.csv", b"a,a\n", csv()).unwrap_err().to_string().contains("more than once"));
        let json = |text: &[u8]| infer("a", text, Format::JsonLines).unwrap_err().to_string();
        assert!(json(b"\n").contains("it is empty, so its columns are unknown; declare a schema"));
        assert!(json(b"[{\"a\":1}]\n").contains("it is a JSON array, and jsonl has an object a line"));
        assert!(json(b" [\n  {\"a\":1}]\n").contains("it is a JSON array, and jsonl has an object a line"));
        for values in ["[1,2]\n[3,4]\n", "[]\n", "[[{\"a\":1}]]\n", "[\"x\"]\n"] {
            let error = json(values.as_bytes());
            assert!(error.contains("`jq -c '{values: .}'`") && !error.contains(".[]"), "{error}");
        }
        assert!(json(b"{\n \"a\": 1\n}\n").contains("its first line is not one JSON object (EOF"));
    }

    #[test]
    fn the_first_file_with_rows_tells() {
        let folder = Folder::new();
        let files = [("a", ""), ("b", "n\n"), ("c", "n\n1\n"), ("d", "m\nx\n")];
        let files = files.map(|(name, text)| folder.write(name, text));
        let infer = |files: &[SourceFile]| describe(&infer_schema(files, &spec(csv())).unwrap());
        assert_eq!(infer(&files), ["n Int64"]);
        assert_eq!(infer(&files[..2]), ["n Utf8"]);
        assert!(infer_schema(&files[..1], &spec(csv())).unwrap_err().to_string().contains("it is empty"));
        let lines = [folder.write("e", "\n"), folder.write("f", "{\"n\":1}\n")];
        assert_eq!(describe(&infer_schema(&lines, &spec(Format::JsonLines)).unwrap()), ["n Int64"]);
    }

    #[test]
    fn a_first_record_without_end_is_said_to_be_one() {
        let endless = vec![b'a'; SAMPLE_BYTES as usize + 1];
        for (format, start) in [(csv(), "\"\n"), (Format::JsonLines, "{\"")] {
            let bytes = [start.as_bytes(), &endless].concat();
            let error = infer("a", &bytes, format).unwrap_err().to_string();
            assert!(error.contains("the record at byte 0 is longer than 64 MiB"), "{error}");
        }
    }

    #[test]
    fn json_columns_nest_and_keep_their_order() {
        let text = br#"{"z":1,"a":{"y":[1,2.5],"x":null},"m":true}
            {"a":{"x":"t"},"m":"yes","new":[]}"#;
        let types = infer("a", text, Format::JsonLines).unwrap();
        assert_eq!(types[0], "z Int64");
        assert!(types[1].starts_with("a Struct(") && types[1].find("\"y\"") < types[1].find("\"x\""), "{types:?}");
        assert_eq!(types[2], "m Utf8");
        assert!(types[3].starts_with("new List("), "{types:?}");
    }

    #[test]
    fn whole_numbers_keep_their_digits() {
        let types = |text: &str| infer("a", text.as_bytes(), Format::JsonLines).unwrap();
        assert_eq!(types("{\"n\":1}\n{\"n\":123456789012345678901234567890}\n"), ["n Utf8"]);
        assert_eq!(types("{\"n\":-9223372036854775809}\n"), ["n Utf8"]);
        assert_eq!(types("{\"n\":1.5}\n{\"n\":18446744073709551616}\n"), ["n Utf8"]);
        assert_eq!(types("{\"n\":[1,18446744073709551616]}\n"), [r#"n List(Utf8)"#]);
        assert_eq!(types("{\"n\":1.5}\n{\"n\":1e400}\n"), ["n Utf8"]);
        assert_eq!(types("{\"n\":1}\n{\"n\":18446744073709551615}\n"), ["n UInt64"]);
        assert_eq!(types("{\"n\":-1}\n{\"n\":18446744073709551615}\n"), ["n Utf8"]);
        assert_eq!(types("{\"n\":-1}\n{\"n\":7}\n"), ["n Int64"]);
        assert_eq!(types("{\"n\":1.5}\n{\"n\":7}\n"), ["n Float64"]);
    }

    fn objects(number: usize, object: impl Fn(usize) -> String) -> String {
        (0..number).map(|i| format!("{{\"id\":{i},\"m\":{}}}\n", object(i))).collect()
    }

    #[test]
    fn objects_of_very_many_members_are_maps() {
        let types = |text: String| infer("a", text.as_bytes(), Format::JsonLines).unwrap().remove(1);
        let map = |value: &str| {
            format!("m Map(\"entries\": non-null Struct(\"key\": non-null Utf8, \"value\": {value}), unsorted)")
        };
        assert!(types(objects(200, |i| format!("{{\"u{i}\":1}}"))).starts_with("m Struct("));
        assert_eq!(types(objects(201, |i| format!("{{\"u{i}\":1}}"))), map("Int64"));
        assert_eq!(types(objects(300, |i| format!("{{\"u{i}\":{}}}", ["null", "1", "1.5"][i % 3]))), map("Float64"));
        assert_eq!(types(objects(300, |i| format!("{{\"u{i}\":[{{\"a\":{i}}}]}}"))), map("List(Struct(\"a\": Int64))"));
        // Values of several kinds: columns while most of them are there, texts otherwise.
        let mixed = |i: usize| format!("\"u{i}\":{}", if i < 150 { "1" } else { "\"x\"" });
        assert_eq!(types(objects(300, |i| format!("{{{}}}", mixed(i)))), map("Utf8"));
        let dense = (0..300).map(mixed).collect::<Vec<_>>().join(",");
        assert!(types(objects(3, |_| format!("{{{dense}}}"))).starts_with("m Struct("));
    }

    #[test]
    fn an_object_with_keys_that_never_recur_stays_as_small_as_its_text() {
        let folder = Folder::new();
        let file = folder.write("a.jsonl", objects(3000, |i| format!("{{\"u{i}\":1}}")));
        let spec = spec(Format::JsonLines);
        let schema = infer_schema(std::slice::from_ref(&file), &spec).unwrap();
        let table = crate::testing::Table::read(&folder.open(&file, &spec, &schema).unwrap()).unwrap();
        assert_eq!((table.rows.len(), table.rows[2999].as_str()), (3000, "2999|{u2999: 1}"));
        assert!(table.rows.concat().len() < 100_000);
    }

    #[test]
    fn inferred_columns_take_all_that_they_were_inferred_from() {
        let folder = Folder::new();
        let values = [
            "null",
            "true",
            "1",
            "-1",
            "18446744073709551615",
            "123456789012345678901234567890",
            "1.5",
            "1e400",
            "\"x\"",
            "[]",
            "[1,\"x\"]",
            "[[1],2]",
            "{}",
            "{\"a\":1}",
            "{\"a\":[{}]}",
            "{\"a\":{\"b\":null}}",
        ];
        let spec = spec(Format::JsonLines);
        for first in values {
            for second in values {
                let file = folder.write("a.jsonl", format!("{{\"v\":{first}}}\n{{\"v\":{second},\"w\":1}}\n"));
                let schema = infer_schema(std::slice::from_ref(&file), &spec).unwrap();
                let table = crate::testing::Table::read(&folder.open(&file, &spec, &schema).unwrap());
                assert!(table.is_ok(), "{first} and {second} are {}: {table:?}", schema.field(0).data_type());
                let ignored = crate::testing::ignored(&folder.open(&file, &spec, &schema).unwrap());
                assert!(ignored.is_empty(), "{first} and {second}: {ignored:?}");
            }
        }
    }

    #[test]
    fn names_in_another_encoding_are_no_columns() {
        let error = infer("a.csv", b"id,pr\xE9nom\n1,Ren\xE9\n", csv()).unwrap_err().to_string();
        let expected = "a.csv: it is not UTF-8 (header, field 2); convert it to UTF-8, from Latin-1 with `iconv -f latin1 -t utf-8`";
        assert_eq!(error, expected);
        let folder = Folder::new();
        let columns = crate::testing::schema(&[("id", DataType::Int64, true)]);
        let read = folder.read(b"id,pr\xE9nom\n1,Ren\xE9\n", &spec(csv()), &columns);
        assert!(read.unwrap_err().to_string().contains("it is not UTF-8 (header, field 2)"));
    }

    #[test]
    fn a_file_without_a_header_has_numbered_columns() {
        let format = Format::Csv(CsvDialect { header: false, null: "NA".to_owned(), ..CsvDialect::default() });
        assert_eq!(infer("a.csv", b"1,NA\n2,x\n", format.clone()).unwrap(), ["column_1 Int64", "column_2 Utf8"]);
        assert_eq!(infer("a.csv", b"NA,\n", format).unwrap(), ["column_1 Utf8", "column_2 Utf8"]);
    }

    #[test]
    fn what_was_inferred_can_be_read() {
        let folder = Folder::new();
        let text = "{\"a\":1,\"b\":[{\"c\":\"x\"}],\"d\":{\"e\":1.5}}\n{\"a\":null,\"b\":[],\"d\":{}}\n";
        let file = folder.write("a.jsonl", text);
        let spec = spec(Format::JsonLines);
        let schema = infer_schema(std::slice::from_ref(&file), &spec).unwrap();
        let table = crate::testing::Table::read(&folder.open(&file, &spec, &schema).unwrap()).unwrap();
        assert_eq!(table.rows, ["1|[{c: x}]|{e: 1.5}", "~|[]|{e: ~}"]);
    }

    #[test]
    fn fixed_formats_need_no_file() {
        for format in [Format::Lines, Format::Bytes] {
            assert_eq!(infer_schema(&[], &spec(format.clone())).unwrap(), fixed_schema(&format).unwrap());
        }
    }
}
