//! Fields of CSV that say the null text in quotes. The decoder does not see quotes and takes them for null; in a column
//! of text they are that text. Other columns have no value for it, so that there it is null, quoted or not.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::zip::zip;
use memchr::{memchr, memmem};

use crate::text::framing::{CsvFraming, Framing};

/// Where a decoder sees nulls that are none.
pub(crate) struct QuotedNulls<'a> {
    pub(crate) framing: CsvFraming,
    /// The text that stands for null.
    pub(crate) null: &'a str,
    /// The columns as they will be.
    pub(crate) schema: &'a SchemaRef,
    /// Per column, its field's place in a record.
    pub(crate) positions: &'a [usize],
}

impl QuotedNulls<'_> {
    /// Puts the text where it is in quotes. `bytes` are the records of the batch.
    pub(crate) fn restore(&self, batch: RecordBatch, bytes: &[u8]) -> Result<RecordBatch, ArrowError> {
        let is_text = |column: &usize| is_text(self.schema.field(*column).data_type());
        let texts: Vec<usize> = (0..self.positions.len()).filter(is_text).collect();
        if texts.is_empty() || !self.may_be_in(bytes) {
            return Ok(batch);
        }
        let found = self.find(bytes);
        let (schema, mut columns) = (batch.schema(), batch.columns().to_vec());
        for column in texts {
            let rows = found.iter().filter(|(_, place)| *place == self.positions[column]).map(|(row, _)| *row);
            columns[column] = self.put(&columns[column], rows)?;
        }
        RecordBatch::try_new(schema, columns)
    }

    /// Whether some field may be such a one, told in no time for most files.
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        let quote = char::from(self.framing.quote());
        match self.framing.is_literal(self.null.as_bytes()) {
            true => memmem::find(bytes, format!("{quote}{}{quote}", self.null).as_bytes()).is_some(),
            false => memchr(self.framing.quote(), bytes).is_some(),
        }
    }

    /// The rows, and the places of the fields in them.
    fn find(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let framing = Framing::Csv(self.framing);
        let (mut found, mut at, mut row) = (Vec::new(), 0, 0);
        while let Some(record) = framing.last_record(bytes, at) {
            at = record.end;
            let places = self.framing.quoted_fields(&bytes[record], self.null.as_bytes());
            found.extend(places.into_iter().map(|place| (row, place)));
            row += 1;
        }
        found
    }

    fn put(&self, column: &ArrayRef, rows: impl Iterator<Item = usize>) -> Result<ArrayRef, ArrowError> {
        let mut is_quoted = vec![false; column.len()];
        rows.for_each(|row| is_quoted[row] = true);
        let text: ArrayRef = Arc::new(StringArray::from(vec![self.null]));
        zip(&BooleanArray::from(is_quoted), &Scalar::new(cast(&text, column.data_type())?), column)
    }
}

/// Whether a column takes any text as it is.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        DataType::RunEndEncoded(_, values) => is_text(values.data_type()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use flowc_planner::plan::{BadRows, CsvDialect, Format};

    use crate::testing::{Folder, schema, with_bad_rows};

    #[test]
    fn what_is_null_without_quotes_is_text_within_them() {
        let columns = schema(&[
            ("id", DataType::Int64, true),
            ("name", DataType::Utf8, false),
            ("kind", DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), true),
            ("view", DataType::Utf8View, true),
            ("day", DataType::Date32, true),
        ]);
        let read = |dialect: CsvDialect, text: &str| {
            let format = Format::Csv(CsvDialect { header: false, ..dialect });
            let table = Folder::new().read(text, &with_bad_rows(format, BadRows::Stream), &columns).unwrap();
            (table.rows, table.rejects.len())
        };
        let plain = "1,\"\",\"\",,2024-02-29\n\"\",\"a,\"\",b\",,\"\",\"\"\n3,,,,\n4,\"\"\"\",\"\"\"\",\"\"\"\",\n";
        let rows = ["1|||~|2024-02-29", "~|a,\",b|~||~", "4|\"|\"|\"|~"].map(str::to_owned).to_vec();
        assert_eq!(read(CsvDialect::default(), plain), (rows, 1), "the third row has no name");
        let escaped = "\"\\N\",\"\\\\N\",\\N,\"N\",\\N\n1,\\N,,,\n";
        let dialect = CsvDialect { escape: Some('\\'), null: "\\N".to_owned(), ..CsvDialect::default() };
        assert_eq!(read(dialect, escaped), (vec![], 2), "`\"\\N\"` says `N`, which is no number");
        let dialect = CsvDialect { escape: Some('\\'), null: "\\N".to_owned(), ..CsvDialect::default() };
        let escaped = "\\N,\"\\\\N\",\\N,\"N\",\"\\\\N\"\n";
        assert_eq!(read(dialect, escaped).0, ["~|\\N|~|N|~"]);
    }
}
