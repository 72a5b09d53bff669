//! Columns that a file does not hold: those in the names of its folders, `year=2024/city=Rome/a.parquet`, as Hive names them, and those
//! of which the log of a table has the values.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array, new_null_array};
use arrow_cast::cast_with_options;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;
use flowc_planner::key::{KeyHasher, RawDigest};
use flowc_planner::plan::SourceSpec;
use percent_encoding::percent_decode_str;

use crate::error::SourceError;
use crate::fields::project;
use crate::files::part_bytes::PartBytes;
use crate::infer::csv_types::type_of_texts;
use crate::segment::RawSegment;
use crate::values::strict::STRICT;
use crate::values::texts::{plain_type, read_texts};

/// The value in a folder's name where there is none.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Names of columns and their values; none is a null.
type Values = BTreeMap<String, Option<String>>;

/// The names and values in the names of a file's folders, outermost first.
fn in_folders(file: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let folders = file.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pairs = folders.split('/').filter_map(|folder| folder.split_once('=')).filter(|(name, _)| !name.is_empty());
    pairs.map(|(name, value)| (decode(name), (value != NULL).then(|| decode(value))))
}

/// The same, where no name is there twice.
fn values(file: &str) -> Result<Values, SourceError> {
    let mut values = Values::new();
    for (column, value) in in_folders(file) {
        if values.insert(column.clone(), value).is_some() {
            return Err(SourceError::RepeatedFolder { file: file.to_owned(), column });
        }
    }
    Ok(values)
}

/// Percent-decodes a name. What is no code of UTF-8 stands for itself.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

/// The columns of files, and after them those in the names of their folders, typed as CSV would be. A column that files
/// and folders both have is the folders'.
pub(crate) fn with_folders(own: &Schema, files: &[impl PartBytes]) -> Result<SchemaRef, SourceError> {
    let (mut names, mut texts) = (Vec::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for file in files {
        values(file.name())?;
        for (name, value) in in_folders(file.name()) {
            if !texts.contains_key(&name) {
                names.push(name.clone());
            }
            texts.entry(name).or_default().extend(value);
        }
    }
    if names.is_empty() {
        return Err(SourceError::NoFolders {
            file: files.first().map(|file| file.name().to_owned()).unwrap_or_default(),
        });
    }
    let own = own.fields().iter().filter(|field| !texts.contains_key(field.name())).cloned();
    let folders = names.iter().map(|name| Arc::new(Field::new(name, type_of_texts(&texts[name]), true)));
    Ok(Arc::new(Schema::new(own.chain(folders).collect::<Vec<_>>())))
}

/// A text as a value of a type: a column with one row.
pub(crate) fn read(text: &str, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let texts = StringArray::from(vec![text]);
    cast_with_options(&read_texts(&texts, &plain_type(data_type))?, data_type, &STRICT)
}

/// Which of a source's columns are in the names of one file's folders.
#[derive(Debug)]
pub(crate) struct FolderColumns {
    /// Per column of the source's schema: its one value, or none where the file holds the column.
    columns: Vec<Option<Value>>,
    /// Names in folders that the schema does not have.
    unknown: Vec<String>,
}

#[derive(Debug)]
struct Value {
    told: Told,
    /// Of one row.
    column: ArrayRef,
}

/// What tells a value from others of its type.
#[derive(Debug)]
enum Told {
    Null,
    /// A text in a folder's name.
    Folder(String),
    /// A text in the log of a table, which is read by other rules.
    #[cfg(feature = "delta")]
    Log(String),
}

impl FolderColumns {
    /// Takes none of the schema's columns from folders.
    pub(crate) fn unread(schema: &Schema) -> Self {
        Self { columns: schema.fields().iter().map(|_| None).collect(), unknown: Vec::new() }
    }

    /// Takes the columns from folders that these have.
    pub(crate) fn read(file: &str, schema: &Schema) -> Result<Self, SourceError> {
        let values = values(file)?;
        let unknown = values.keys().filter(|name| schema.index_of(name).is_err()).cloned().collect();
        let column = |field: &Arc<Field>| values.get(field.name()).map(|text| Value::new(file, text.as_deref(), field));
        let columns = schema.fields().iter().map(|field| column(field).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { columns, unknown })
    }

    /// Takes values from a table's log: per column of the schema its text there and its value, a null where there is no text; none where
    /// the file holds the column.
    #[cfg(feature = "delta")]
    pub(crate) fn of_table(values: Vec<Option<(Option<String>, ArrayRef)>>) -> Self {
        let value =
            |(text, column): (Option<String>, ArrayRef)| Value { told: text.map_or(Told::Null, Told::Log), column };
        Self { columns: values.into_iter().map(|told| told.map(value)).collect(), unknown: Vec::new() }
    }

    /// Names in folders that the schema does not have.
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The columns that the file holds.
    pub(crate) fn own(&self, schema: &SchemaRef) -> SchemaRef {
        let own: Vec<_> = (0..self.columns.len()).filter(|&column| self.columns[column].is_none()).collect();
        if own.len() == self.columns.len() { schema.clone() } else { project(schema, &own) }
    }

    /// Of these columns of the schema, those that the file holds, by their places in [`own`](Self::own).
    pub(crate) fn own_projection(&self, projection: &[usize]) -> Vec<usize> {
        let place = |column: usize| self.columns[..column].iter().filter(|value| value.is_none()).count();
        projection.iter().filter(|column| self.columns[**column].is_none()).map(|&column| place(column)).collect()
    }

    /// What is to be added to batches of the file, for these columns of the schema.
    pub(crate) fn filler(&self, schema: &SchemaRef, projection: &[usize]) -> Option<Filler> {
        let values: Vec<_> =
            projection.iter().map(|&column| Some(self.columns[column].as_ref()?.column.clone())).collect();
        values.iter().any(Option::is_some).then(|| Filler { schema: project(schema, projection), values })
    }

    /// A digest of the values; none where there are none.
    pub(crate) fn digest(&self) -> Option<RawDigest> {
        let mut hasher = KeyHasher::new("flowc folders 1");
        self.columns.iter().for_each(|value| Value::hash(value.as_ref(), &mut hasher));
        self.columns.iter().any(Option::is_some).then(|| RawDigest::new(hasher.finish()))
    }

    /// A segment of the file, with digests of the folders' columns among those of its own.
    pub(crate) fn complete(&self, segment: RawSegment) -> RawSegment {
        let rows = segment.rows;
        let columns = segment.columns.map(|own| {
            let mut own = own.into_iter();
            let digest = |value: &Option<Value>| match value {
                None => own.next(),
                Some(value) => {
                    let mut hasher = KeyHasher::new("flowc raw folder column 1");
                    hasher.number(rows.unwrap_or(0));
                    Value::hash(Some(value), &mut hasher);
                    Some(RawDigest::new(hasher.finish()))
                }
            };
            self.columns.iter().filter_map(digest).collect()
        });
        RawSegment { columns, ..segment }
    }
}

impl Value {
    fn new(file: &str, text: Option<&str>, field: &Field) -> Result<Self, SourceError> {
        let refused = || SourceError::FolderValue {
            file: file.to_owned(),
            column: field.name().clone(),
            value: text.unwrap_or(NULL).to_owned(),
            expected: Box::new(field.data_type().clone()),
        };
        let column = match text {
            Some(text) => read(text, field.data_type()).map_err(|_| refused())?,
            None if field.is_nullable() => new_null_array(field.data_type(), 1),
            None => return Err(refused()),
        };
        Ok(Self { told: text.map_or(Told::Null, |text| Told::Folder(text.to_owned())), column })
    }

    fn hash(value: Option<&Self>, hasher: &mut KeyHasher) {
        match value.map(|value| &value.told) {
            None => hasher.number(0),
            Some(Told::Null) => hasher.number(1),
            Some(Told::Folder(text)) => hasher.number(2).bytes(text.as_bytes()),
            #[cfg(feature = "delta")]
            Some(Told::Log(text)) => hasher.number(3).bytes(text.as_bytes()),
        };
    }
}

/// Adds the folders' columns to batches.
pub(crate) struct Filler {
    schema: SchemaRef,
    /// Per column of the schema, its value in one row; none where the batches have the column.
    values: Vec<Option<ArrayRef>>,
}

impl Filler {
    /// All columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch with all columns.
    pub(crate) fn fill(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let firsts = UInt32Array::from(vec![0; batch.num_rows()]);
        let mut own = batch.columns().iter();
        let column = |value: &Option<ArrayRef>| match value {
            Some(value) => take(value, &firsts, None).map(Some),
            None => Ok(own.next().cloned()),
        };
        let columns = self.values.iter().map(column).filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }
}

/// Says of a missing column that the name of the file's folder has it, where nothing reads that.
pub(crate) fn explain_missing(error: SourceError, spec: &SourceSpec) -> SourceError {
    match error {
        SourceError::MissingColumn { file, column, .. } if spec.partitions.is_none() && has_folder(&file, &column) => {
            SourceError::ColumnInFolder { file, column }
        }
        other => other,
    }
}

/// Whether the names of a file's folders have a column.
fn has_folder(file: &str, column: &str) -> bool {
    in_folders(file).any(|(name, _)| name == column)
}

/// The names in folders that no column of a schema has: nothing reads them.
pub(crate) fn unread_names(file: &str, schema: &Schema) -> Vec<String> {
    let names = in_folders(file).map(|(name, _)| name);
    names.filter(|name| schema.index_of(name).is_err()).collect()
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::{BadRows, Format};
    use proptest::prelude::*;

    use super::*;
    use crate::infer_schema;
    use crate::testing::{Folder, Table, csv, schema, segments, spec};

    fn partitioned(format: Format) -> SourceSpec {
        SourceSpec { partitions: Some(true), ..spec(format) }
    }

    fn pairs(file: &str) -> Vec<(String, Option<String>)> {
        in_folders(file).collect()
    }

    #[test]
    fn names_and_values_are_decoded() {
        let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let name = "data/y=2024/city=New%20York%2FNY/a%3Db=c=d/%zz=%FF/e=/f=__HIVE_DEFAULT_PARTITION__/x=1.csv";
        let expected = [
            pair("y", Some("2024")),
            pair("city", Some("New York/NY")),
            pair("a=b", Some("c=d")),
            pair("%zz", Some("%FF")),
            pair("e", Some("")),
            pair("f", None),
        ];
        assert_eq!(pairs(name), expected);
        assert_eq!(pairs("a=b.csv"), []);
        assert_eq!(pairs("data/=b/c.csv"), []);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in any::<String>()) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decode(&encoded), text);
        }
    }

    #[test]
    fn types_are_those_of_csv_and_hold_all_values() {
        let data_type =
            |values: &[&str]| type_of_texts(&values.iter().map(|value| (*value).to_owned()).collect()).to_string();
        assert_eq!(data_type(&["2023", "2024"]), "Int64");
        assert_eq!(data_type(&["2023", "2024.5"]), "Float64");
        assert_eq!(data_type(&["2024-01-31", "2024-02-29"]), "Date32");
        assert_eq!(data_type(&["true", "false"]), "Boolean");
        for values in [&["2023", "x"][..], &["2023", ""], &[], &["a,b"], &["a\"b"], &["a\nb"], &["2024-02-30"]] {
            assert_eq!(data_type(values), "Utf8", "{values:?}");
        }
        let many: BTreeSet<String> = (0..20_000).map(|i| i.to_string()).chain(["x".to_owned()]).collect();
        assert_eq!(type_of_texts(&many), DataType::Utf8);
    }

    fn parquet(values: &[i64]) -> Vec<u8> {
        let column: ArrayRef = Arc::new(arrow_array::Int64Array::from(values.to_vec()));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn arrow(values: &[i64]) -> Vec<u8> {
        let column: ArrayRef = Arc::new(arrow_array::Int64Array::from(values.to_vec()));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn every_format_has_the_folders_columns() {
        let files: [(Format, Vec<u8>, &[&str]); 6] = [
            (csv(), b"n\n1\n2\n".to_vec(), &["1", "2"]),
            (Format::JsonLines, b"{\"n\":1}\n{\"n\":2}\n".to_vec(), &["1", "2"]),
            (Format::Parquet, parquet(&[1, 2]), &["1", "2"]),
            (Format::Arrow, arrow(&[1, 2]), &["1", "2"]),
            (Format::Lines, b"1\n2\n".to_vec(), &["1", "2"]),
            (Format::Bytes, b"1".to_vec(), &["y=2024/city=Rome/a|31"]),
        ];
        for (format, bytes, own) in files {
            let (folder, spec) = (Folder::new(), partitioned(format));
            let files = [
                folder.write("y=2024/city=Rome/a", &bytes),
                folder.write("y=2025/city=__HIVE_DEFAULT_PARTITION__/b", &bytes),
            ];
            let schema = infer_schema(&files, &spec).unwrap();
            let last: Vec<_> = schema.fields().iter().rev().take(2).map(|field| field.to_string()).collect();
            assert!(
                last[0].contains("\"city\": nullable Utf8") && last[1].contains("\"y\": nullable Int64"),
                "{last:?}"
            );
            let open = folder.open(&files[0], &spec, &schema).unwrap();
            let expected: Vec<_> = own.iter().map(|own| format!("{own}|2024|Rome")).collect();
            assert_eq!(Table::read(&open).unwrap().rows, expected);
            let null = Table::read(&folder.open(&files[1], &spec, &schema).unwrap()).unwrap();
            assert!(null.rows.iter().all(|row| row.ends_with("|2025|~")), "{:?}", null.rows);
            let width = schema.fields().len();
            for (projection, row) in [(&[width - 1, width - 2][..], "Rome|2024"), (&[width - 2], "2024"), (&[], "")] {
                let mut reader = open.read(&segments(&open)[0], None, projection).unwrap();
                assert_eq!(reader.schema().fields().len(), projection.len());
                assert_eq!(crate::testing::text(&reader.next().unwrap().unwrap())[0], row);
            }
            assert_eq!(open.unknown_columns(), [""; 0]);
        }
    }

    #[test]
    fn columns_may_be_declared_in_any_order_and_type() {
        let folder = Folder::new();
        let file = folder.write("day=2024-02-29/price=1.50/a.csv", "n\n1\n");
        let columns = schema(&[
            ("price", DataType::Decimal128(6, 2), true),
            ("n", DataType::Int32, true),
            ("day", "Timestamp(ms)".parse().unwrap(), false),
        ]);
        let read = |columns: &SchemaRef| Table::read(&folder.open(&file, &partitioned(csv()), columns)?);
        assert_eq!(read(&columns).unwrap().rows, ["1.50|1|2024-02-29T00:00:00"]);
        let words = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        assert_eq!(read(&schema(&[("day", words, true)])).unwrap().rows, ["2024-02-29"]);
        let error = |data_type: DataType| read(&schema(&[("price", data_type, true)])).unwrap_err().to_string();
        assert!(
            error(DataType::Int64)
                .contains("folder's name says that `price` is `1.50`, which is no value of type Int64")
        );
        assert!(error(DataType::Decimal128(4, 0)).contains("no value of type Decimal128(4, 0)"));
    }

    #[test]
    fn folders_that_do_not_fit_are_errors() {
        let folder = Folder::new();
        let columns = schema(&[("n", DataType::Int64, true), ("y", DataType::Int64, false)]);
        let error = |name: &str, spec: &SourceSpec| {
            let open = folder.open(&folder.write(name, "n\n1\n"), spec, &columns);
            open.and_then(|open| Table::read(&open)).map_err(|error| error.to_string())
        };
        let spec = partitioned(csv());
        assert_eq!(error("y=1/a.csv", &spec).unwrap().rows, ["1|1"]);
        assert!(error("x=1/a.csv", &spec).unwrap_err().contains("there is no column `y`"));
        assert!(error("y=1/y=2/a.csv", &spec).unwrap_err().contains("have the column `y` more than once"));
        assert!(error("y=__HIVE_DEFAULT_PARTITION__/a.csv", &spec).unwrap_err().contains("no value of type Int64"));
        let missing = error("y=1/a.csv", &crate::testing::spec(csv())).unwrap_err();
        assert!(missing.contains("in its folder's name: `files` with the property partitions=#true"), "{missing}");
        let none = infer_schema(&[folder.write("b.csv", "n\n1\n")], &spec).unwrap_err().to_string();
        assert!(none.contains("no folder in a file's name is named `column=value`"), "{none}");
    }

    #[test]
    fn a_column_of_files_and_folders_is_the_folders() {
        let folder = Folder::new();
        let file = folder.write("y=2024/a.csv", "y,n\n1,2\n");
        let schema = infer_schema(std::slice::from_ref(&file), &partitioned(csv())).unwrap();
        let open = folder.open(&file, &partitioned(csv()), &schema).unwrap();
        assert_eq!(Table::read(&open).unwrap().rows, ["2|2024"]);
        assert!(open.unknown_columns().is_empty());
        let open = folder.open(&file, &spec(csv()), &infer_schema(std::slice::from_ref(&file), &spec(csv())).unwrap());
        assert!(open.unwrap().unread_folders().is_empty(), "the file has the column");
    }

    #[test]
    fn columns_that_nothing_reads_are_told_unless_nothing_shall() {
        let folder = Folder::new();
        let file = folder.write("y=2024/z=1/a.csv", "n\n1\n");
        let unread = |partitions| {
            let spec = SourceSpec { partitions, ..spec(csv()) };
            let open = folder.open(&file, &spec, &schema(&[("n", DataType::Int64, true)])).unwrap();
            (open.unread_folders().to_vec(), open.unknown_columns())
        };
        let both = || vec!["y".to_owned(), "z".to_owned()];
        assert_eq!(unread(None), (both(), vec![]));
        assert_eq!(unread(Some(false)), (vec![], vec![]));
        assert_eq!(unread(Some(true)), (vec![], both()));
    }

    #[test]
    fn a_file_that_moves_to_another_folder_changes_that_column_alone() {
        let folder = Folder::new();
        let columns =
            schema(&[("n", DataType::Int64, true), ("y", DataType::Int64, true), ("z", DataType::Utf8, true)]);
        let known = |name: &str, format: Format, bytes: &[u8]| {
            let file = folder.write(name, bytes);
            let open = folder.open(&file, &partitioned(format), &columns).unwrap();
            (segments(&open).remove(0), open.folder_digest())
        };
        let (before, _) = known("y=1/z=a/f", Format::Parquet, &parquet(&[1]));
        let (after, _) = known("y=2/z=a/f", Format::Parquet, &parquet(&[1]));
        let (before, after) = (before.columns.unwrap(), after.columns.unwrap());
        assert_eq!((before[0], before[2]), (after[0], after[2]));
        assert_ne!(before[1], after[1]);
        for (format, bytes) in [(csv(), b"n\n1\n".to_vec()), (Format::Arrow, arrow(&[1]))] {
            let digest = |name: &str| known(name, format.clone(), &bytes).1;
            assert_eq!(digest("y=1/z=a/f"), digest("other/z=a/y=1/g"));
            assert_ne!(digest("y=1/z=a/f"), digest("y=2/z=a/f"));
            assert_ne!(digest("y=1/z=/f"), digest("y=1/z=__HIVE_DEFAULT_PARTITION__/f"));
        }
    }

    #[test]
    fn bad_rows_are_the_files_affair() {
        let folder = Folder::new();
        let file = folder.write("y=2024/a.csv", "n\n1\nx\n3\n");
        let columns = schema(&[("y", DataType::Int64, true), ("n", DataType::Int64, true)]);
        let spec = SourceSpec { bad_rows: BadRows::Stream, ..partitioned(csv()) };
        let table = Table::read(&folder.open(&file, &spec, &columns).unwrap()).unwrap();
        assert_eq!(table.rows, ["2024|1", "2024|3"]);
        assert_eq!(table.rejects.len(), 1);
    }
}
