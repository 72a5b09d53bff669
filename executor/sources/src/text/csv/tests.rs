//! Headers, dialects, bad rows and types of CSV files.

use arrow_array::cast::AsArray;
use arrow_schema::TimeUnit;
use flowc_planner::plan::{BadRows, Format as SourceFormat};

use super::*;
use crate::testing::{Folder, Table, csv, schema, segments, spec, with_bad_rows};

thread_local! {
    /// Fields that decoders reserved room for.
    pub(super) static RESERVED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn columns() -> SchemaRef {
    schema(&[("id", DataType::Int64, false), ("name", DataType::Utf8, true)])
}

fn read(text: &str) -> Result<Table, SourceError> {
    Folder::new().read(text, &spec(csv()), &columns())
}

fn rows(text: &str) -> Vec<String> {
    read(text).unwrap().rows
}

#[test]
fn columns_are_found_by_name_wherever_they_are() {
    assert_eq!(rows("name,other,id\na,x,1\n\"b,\"\"c\"\"\",y,2"), ["1|a", "2|b,\"c\""]);
    assert_eq!(rows("\u{feff}id,name\r\n1,a\r\n2,\"x\r\ny\"\r\n"), ["1|a", "2|x\r\ny"]);
    assert_eq!(rows("id,name\n\n1,\n\n"), ["1|~"]);
}

#[test]
fn a_file_without_records_has_no_rows() {
    for text in ["", "\u{feff}", "\n\r\n", "id,name\n", "id,name"] {
        assert!(rows(text).is_empty(), "{text:?}");
    }
}

#[test]
fn headers_that_do_not_fit_are_errors() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("id,title\n").contains("no column `name`; its columns are `id`, `title`"));
    assert!(error("id,name,id\n").contains("`id` occurs more than once"));
    assert_eq!(rows("x,id,name,x\n1,2,3,4\n"), ["2|3"], "a repeated name that nobody asked for");
}

#[test]
fn dialects() {
    let dialect = CsvDialect {
        header: false,
        delimiter: ';',
        quote: '\'',
        escape: Some('\\'),
        comment: Some('#'),
        null: "NA".to_owned(),
    };
    let text = "# it's a comment\n1;'a\\';b'\nNA;x\n2;NA\n3;\n";
    let read = Folder::new().read(text, &with_bad_rows(SourceFormat::Csv(dialect), BadRows::Stream), &columns());
    let table = read.unwrap();
    assert_eq!(table.rows, ["1|a';b", "2|~", "3|"]);
    assert_eq!(table.rejects, ["input|2|column `id`: null in a column without nulls|NA;x"]);
}

#[test]
fn a_comment_at_the_very_end_is_no_row() {
    let dialect = CsvDialect { comment: Some('#'), ..CsvDialect::default() };
    let columns = schema(&[("t", DataType::Utf8, true)]);
    let format = SourceFormat::Csv(dialect);
    let rows = |text: &str| Folder::new().read(text, &spec(format.clone()), &columns).unwrap().rows;
    assert_eq!(rows("t\na\n# end"), ["a"]);
    assert_eq!(rows("t\na\r# end\r!"), ["a"]);
    assert_eq!(rows("t\n\"a\n# b\""), ["a\n# b"]);
}

#[test]
fn types() {
    let zone = |zone: &str| DataType::Timestamp(TimeUnit::Second, Some(zone.into()));
    let columns = schema(&[
        ("d", DataType::Date32, true),
        ("t", zone("UTC"), true),
        ("m", DataType::Decimal128(10, 2), true),
        ("b", DataType::Boolean, true),
        ("f", DataType::Float64, true),
    ]);
    let text = "d,t,m,b,f\n2024-02-29,2024-02-29T12:00:00Z,12.5,true,1e3\n,,,,\n";
    let folder = Folder::new();
    let open = folder.open(&folder.write("input", text), &spec(csv()), &columns).unwrap();
    let batch = open.read(&segments(&open)[0], None, &[0, 2, 3, 4]).unwrap().next().unwrap().unwrap();
    assert_eq!(crate::testing::text(&batch), ["2024-02-29|12.50|true|1000.0", "~|~|~|~"]);
    let batch = open.read(&segments(&open)[0], None, &[1]).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.schema().field(0), columns.field(1));
    let seconds = batch.column(0).as_primitive::<arrow_array::types::TimestampSecondType>();
    assert_eq!(seconds.iter().collect::<Vec<_>>(), [Some(1_709_208_000), None]);
    let list = DataType::new_list(DataType::Int64, true);
    let error = Folder::new().read("l\n", &spec(csv()), &schema(&[("l", list, true)])).unwrap_err();
    assert!(error.to_string().contains("column `l`"), "{error}");
}

#[test]
fn times_are_never_cut() {
    let columns = schema(&[("d", DataType::Date32, true), ("t", DataType::Timestamp(TimeUnit::Second, None), true)]);
    let text = "d,t\n2024-02-29,2024-02-29T12:00:00.000Z\n1900-01-01,\n2024-02-29T01:00:00,\n,1969-12-31T23:59:59.5\n\
                ,2024-02-29T12:00:00.0000001\n";
    let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns).unwrap();
    assert_eq!(table.rows, ["2024-02-29|2024-02-29T12:00:00", "1900-01-01|~"]);
    assert_eq!(table.rejects.len(), 3, "{:?}", table.rejects);
    assert!(table.rejects[1].contains("column `t`: \"1969-12-31T23:59:59.5\" is not a value"), "{:?}", table.rejects);
}

#[test]
fn a_quote_that_is_never_closed_is_a_bad_row_and_not_a_long_field() {
    let text = "id,name\n1,\"a\"\n2,\"b\n3,c\n4,d\n";
    let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns()).unwrap();
    assert_eq!(table.rows, ["1|a"]);
    assert_eq!(table.rejects, ["input|2|a quote is opened and never closed|2,\"b\n3,c\n4,d"]);
    assert_eq!(rows("id,name\n1,\"a\"\"\"").as_slice(), ["1|a\""]);
}

#[test]
fn text_after_a_closing_quote_is_a_bad_row() {
    let text = "id,name\n1,\"a\"\"b\"\n2,\"y\"z\n3,c\"d\" e\n4,\"f\" \n\"5\",\"g\"\r\n6,\"\"\"\"";
    let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns()).unwrap();
    assert_eq!(table.rows, ["1|a\"b", "3|c\"d\" e", "5|g", "6|\""]);
    assert_eq!(
        table.rejects,
        [
            "input|2|text follows the closing quote of a field|2,\"y\"z",
            "input|4|text follows the closing quote of a field|4,\"f\" ",
        ]
    );
}

#[test]
fn quotes_in_comments_are_no_quotes() {
    let format = SourceFormat::Csv(CsvDialect { comment: Some('#'), ..CsvDialect::default() });
    let read = |text: &str| Folder::new().read(text, &with_bad_rows(format.clone(), BadRows::Stream), &columns());
    let table = read("id,name\n1,a\n#,\"b\"c\n#,\"d\n2,\"e\"f\n3,g\n").unwrap();
    assert_eq!(table.rows, ["1|a", "3|g"]);
    assert_eq!(table.rejects, ["input|2|text follows the closing quote of a field|2,\"e\"f"]);
}

#[test]
fn decimals_are_never_rounded() {
    let columns = schema(&[("m", DataType::Decimal128(10, 2), true), ("d", DataType::Decimal32(3, 3), true)]);
    let text = "m,d\n12.5,0.125\n-0.010,1e-3\n,\n0.125,0\n0,0.1234\n99999999.99,0\n100000000,0\n1.000000000000000000000000000000000001,0\n";
    let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns).unwrap();
    assert_eq!(table.rows, ["12.50|0.125", "-0.01|0.001", "~|~", "99999999.99|0.000"]);
    let reasons: Vec<_> = table.rejects.iter().map(|reject| reject.split('|').nth(2).unwrap()).collect();
    let misfit = |column: &str, value: &str, data_type: &str| {
        format!("column `{column}`: {value:?} is not a value of type {data_type}")
    };
    assert_eq!(
        reasons,
        [
            misfit("m", "0.125", "Decimal128(10, 2)"),
            misfit("d", "0.1234", "Decimal32(3, 3)"),
            misfit("m", "100000000", "Decimal128(10, 2)"),
            misfit("m", "1.000000000000000000000000000000000001", "Decimal128(10, 2)"),
        ]
    );
}

#[test]
fn bad_rows_are_named_counted_or_collected() {
    let text = b"id,name\n1,a\nx,b\n3\n,d\n5,\xFF\n\n6,\"f\nf\",g\n7,h";
    let with = |bad_rows| Folder::new().read(text, &with_bad_rows(csv(), bad_rows), &columns());
    let error = with(BadRows::Fail).unwrap_err().to_string();
    assert!(error.starts_with("input: row 2, column `id`: \"x\" is not a value of type Int64: x,b"), "{error}");
    let skipped = with(BadRows::Skip).unwrap();
    assert_eq!((skipped.rows, skipped.rejected, skipped.rejects), (vec!["1|a".into(), "7|h".into()], 5, vec![]));
    assert_eq!(
        with(BadRows::Stream).unwrap().rejects,
        [
            "input|2|column `id`: \"x\" is not a value of type Int64|x,b",
            "input|3|2 fields expected, 1 found|3",
            "input|4|column `id`: null in a column without nulls|,d",
            "input|5|column `name`: not UTF-8; `iconv -f latin1 -t utf-8` converts a file from Latin-1|5,\u{fffd}",
            "input|6|2 fields expected, 3 found|6,\"f\nf\",g",
        ]
    );
}

#[test]
fn rows_after_many_batches_are_numbered_right_and_batches_stay_full() {
    let mut text = String::from("id,name\n");
    (1..=30_000).for_each(|i| text += &if i % 9000 == 0 { "bad\n".to_owned() } else { format!("{i},n\n") });
    let folder = Folder::new();
    let file = folder.write("input", &text);
    let open = folder.open(&file, &with_bad_rows(csv(), BadRows::Stream), &columns()).unwrap();
    let mut reader = open.read(&segments(&open)[0], None, &[0]).unwrap();
    let sizes: Vec<_> = reader.by_ref().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(sizes, [8192, 8192, 8192, 30_000 - 3 - 3 * 8192]);
    let rejects = reader.rejects().unwrap();
    let rows = rejects[0].column(1).as_primitive::<arrow_array::types::UInt64Type>();
    assert_eq!(rows.values(), &[9000, 18_000, 27_000]);
}

#[test]
fn renaming_a_column_that_nobody_reads_changes_no_digest() {
    let folder = Folder::new();
    let raw = |text: &str| {
        let file = folder.write("input", text);
        segments(&folder.open(&file, &spec(csv()), &columns()).unwrap())[0].raw
    };
    assert_eq!(raw("id,name,x\n1,a,b\n"), raw("id,name,longer\n1,a,b\n"));
    assert_ne!(raw("id,name,x\n1,a,b\n"), raw("id,x,name\n1,a,b\n"));
}

/// Fields that were reserved for one reading of a file of Int64 columns.
fn reserved(columns: usize, lines: &[String], bad_rows: BadRows) -> (usize, Table) {
    let names: Vec<String> = (0..columns).map(|i| format!("c{i}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), DataType::Int64, true)).collect();
    let text = format!("{}\n{}\n", names.join(","), lines.join("\n"));
    RESERVED.with(|reserved| reserved.set(0));
    let table = Folder::new().read(text, &with_bad_rows(csv(), bad_rows), &schema(&fields)).unwrap();
    (RESERVED.with(std::cell::Cell::get), table)
}

#[test]
fn bad_rows_cost_what_their_fields_cost_however_wide_the_file_is() {
    let row = |columns: usize, last: &str| "1,".repeat(columns - 1) + last;
    for bad_rows in [BadRows::Skip, BadRows::Stream] {
        for columns in [20, 200, 2000] {
            for bad in [row(columns, "x"), row(columns + 1, "1"), "1".to_owned()] {
                let lines = [vec![bad; 64], vec![row(columns, "1"); 64]].concat();
                let (reserved, table) = reserved(columns, &lines, bad_rows);
                assert_eq!((table.rows.len(), table.rejected), (64, 64));
                // Halving goes over the rows as often as 128 can be halved, and then there is the whole.
                let most = 10 * 2 * columns * lines.len();
                assert!(reserved <= most, "{columns} columns: {reserved} fields, at most {most} expected");
            }
        }
    }
}

#[test]
fn numbers_too_large_for_floats_are_no_infinities() {
    let columns = schema(&[("f", DataType::Float64, true), ("t", DataType::Utf8, true)]);
    let text = "f,t\ninf,a\n-inf,b\n1e400,c\n1.5,d\n";
    let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns).unwrap();
    assert_eq!(table.rows, ["inf|a", "-inf|b", "1.5|d"]);
    assert_eq!(table.rejects, ["input|3|column `f`: \"1e400\" is not a value of type Float64|1e400,c"]);
}

#[test]
fn bytes_that_are_no_text_are_no_fault_of_the_columns_type() {
    let read =
        |bytes: &[u8]| Folder::new().read(bytes, &spec(csv()), &schema(&[("n", DataType::Int64, true)])).unwrap_err();
    assert_eq!(read(b"n\nx\n").column(), Some("n"));
    let error = read(b"n\n\xFF\n");
    assert!(error.to_string().contains("row 1, column `n`: not UTF-8"), "{error}");
    assert_eq!(error.column(), None);
}

#[test]
fn blank_lines_are_no_rows_and_an_empty_field_in_quotes_is_one() {
    let columns = schema(&[("name", DataType::Utf8, true)]);
    let table = Folder::new().read("name\nAnn\n\nBob\n\"\"\n\n", &spec(csv()), &columns).unwrap();
    assert_eq!(table.rows, ["Ann", "Bob", ""]);
}

#[test]
fn dialects_that_contradict_themselves_are_errors() {
    let with = |delimiter, quote| {
        check_dialect(&CsvDialect { delimiter, quote, ..CsvDialect::default() }).unwrap_err().to_string()
    };
    assert!(with('"', '"').contains("must differ"));
    assert!(with('é', '"').contains("not one ASCII character"));
    assert!(with('\n', '"').contains("line end"));
}
