//! Change events of Debezium: what happened to a row, the row before and after, and when.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use flowc_planner::plan::Format;

use crate::error::SourceError;
use crate::fields::project;
use crate::ignored::Ignored;
use crate::log::decode::{Decoded, RowDecoder};
use crate::log::reading::SharedSchemas;
use crate::text::json::{Cursor, Token};
use crate::text::parser::BadRecord;

/// The member that says when the database did it.
const SOURCE: &str = "source";
/// The time within it, in milliseconds since 1970.
const TIME: &str = "ts_ms";
const NO_EVENT: &str = "it is no change event of Debezium: it has no `op`; leave `envelope` out if records are rows";

/// Decodes change events.
pub(super) struct Changes {
    events: RowDecoder,
    /// Whether values may be wrapped as Kafka Connect does it, beside their schema.
    is_json: bool,
    /// The columns that are read.
    read: SchemaRef,
}

impl Changes {
    /// A decoder of some of the columns of change events, whose rows are in a format.
    pub(super) fn new(
        rows: &Format,
        schema: &SchemaRef,
        projection: &[usize],
        schemas: Option<SharedSchemas>,
    ) -> Result<Self, SourceError> {
        let read = project(schema, projection);
        let (events, wanted) = match rows {
            Format::JsonLines => {
                let events = json_events(schema);
                let all: Vec<usize> = (0..events.fields().len()).collect();
                (events, all)
            }
            // Their own schema has more than that.
            other => {
                let events = RowDecoder::columns(other)?;
                let places = ["op", "before", "after", SOURCE].map(|name| events.index_of(name));
                (events, places.into_iter().flatten().collect())
            }
        };
        let events = RowDecoder::new(rows, &events, &wanted, schemas)?;
        Ok(Self { events, is_json: *rows == Format::JsonLines, read })
    }

    /// A row per event. A record without one, which follows the event of a removed row, gives none.
    pub(super) fn decode(&mut self, values: &BinaryArray) -> Result<Decoded, ArrowError> {
        let events = values.iter().map(|value| value.and_then(|value| self.event(value)));
        let events: Vec<(u64, &[u8])> =
            (0..).zip(events).filter_map(|(record, event)| Some((record, event?))).collect();
        let records = UInt64Array::from_iter_values(events.iter().map(|(record, _)| *record));
        let events = BinaryArray::from_iter_values(events.into_iter().map(|(_, event)| event));
        let batch = self.events.decode(&events)?.batch;
        if batch.column_by_name("op").is_none_or(|op| op.null_count() > 0) {
            return Err(ArrowError::ParseError(NO_EVENT.to_owned()));
        }
        let columns = self.read.fields().iter().map(|field| column(&batch, field)).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(events.len()));
        let batch = RecordBatch::try_new_with_options(self.read.clone(), columns, &options)?;
        Ok(Decoded { batch, records: Some(records) })
    }

    /// Why this one value does not fit.
    pub(super) fn explain(&mut self, value: &[u8], error: &ArrowError) -> BadRecord {
        match (error, self.event(value)) {
            (ArrowError::ParseError(reason), _) if reason == NO_EVENT => {
                BadRecord { column: None, reason: reason.clone() }
            }
            (_, Some(event)) => self.events.explain(event, error),
            (_, None) => BadRecord { column: None, reason: error.to_string() },
        }
    }

    /// What rows have that no column takes. What an event tells besides is left out by the columns of events.
    pub(super) fn take_ignored(&mut self) -> Ignored {
        let mut ignored = self.events.take_ignored();
        ignored.retain(|path| path.starts_with("before.") || path.starts_with("after."));
        ignored
    }

    /// The event in a value; none if it has none.
    fn event<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        if self.is_json { unwrapped(value) } else { Some(value) }
    }
}

/// The columns of events in JSON, as far as they are read.
fn json_events(changes: &Schema) -> SchemaRef {
    let of = |name: &str| changes.field_with_name(name).cloned().ok();
    let time = DataType::Struct(vec![Field::new(TIME, DataType::Int64, true)].into());
    let source = Field::new(SOURCE, time, true);
    let fields = [of("op").map(|op| op.with_nullable(true)), of("before"), of("after"), Some(source)];
    Arc::new(Schema::new(fields.into_iter().flatten().collect::<Vec<_>>()))
}

/// A column of changes, of those of events.
fn column(events: &RecordBatch, field: &Field) -> Result<ArrayRef, ArrowError> {
    if field.name() != "source-time" {
        let column = events.column_by_name(field.name());
        let missing = || ArrowError::SchemaError(format!("an event has no column `{}`", field.name()));
        return cast(column.ok_or_else(missing)?, field.data_type());
    }
    let source = events.column_by_name(SOURCE).and_then(|source| source.as_struct_opt());
    match source.and_then(|source| Some((source, source.column_by_name(TIME)?))) {
        Some((source, times)) => {
            // Where an event has no source, its time is none, whatever lies there.
            let nulls = arrow_buffer::NullBuffer::union(source.nulls(), times.nulls());
            let data = times.to_data().into_builder().nulls(nulls).build()?;
            cast(&arrow_array::make_array(data), field.data_type())
        }
        None => Ok(arrow_array::new_null_array(field.data_type(), events.num_rows())),
    }
}

/// The event in a text of JSON. Kafka Connect writes it beside its schema unless it is told not to: then it is the member `payload`, which may be null.
fn unwrapped(value: &[u8]) -> Option<&[u8]> {
    let payload = || {
        let mut cursor = Cursor::new(value)?;
        if cursor.token()? != Token::Object {
            return Ok(Some(value));
        }
        let mut first = true;
        while let Some(name) = cursor.next_member()? {
            if std::mem::take(&mut first) && !matches!(&*name, "schema" | "payload") {
                return Ok(Some(value));
            }
            if name == "payload" {
                let payload = cursor.raw()?;
                return Ok((payload != "null").then_some(payload.as_bytes()));
            }
            cursor.skip()?;
        }
        Ok::<_, ArrowError>(Some(value))
    };
    // What is wrong with a text is told where it is read.
    payload().unwrap_or(Some(value))
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::Format;

    use super::*;
    use crate::testing::text;

    fn changes() -> Changes {
        let rows = vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)];
        let format = Format::Debezium(Box::new(Format::JsonLines));
        let schema = Arc::new(Schema::new(format.columns(&rows.into())));
        Changes::new(&Format::JsonLines, &schema, &[0, 1, 2, 3], None).unwrap()
    }

    fn decode(values: &[Option<&str>]) -> Result<(Vec<String>, Vec<u64>), String> {
        let values: BinaryArray = values.iter().map(|value| value.map(str::as_bytes)).collect();
        let decoded = changes().decode(&values).map_err(|error| error.to_string())?;
        Ok((text(&decoded.batch), decoded.records.unwrap().values().to_vec()))
    }

    const CREATED: &str = r#"{"before":null,"after":{"id":1,"name":"a"},"source":{"version":"3","ts_ms":1700000000123},"op":"c","ts_ms":5}"#;

    #[test]
    fn events_are_rows_wrapped_or_not_and_tombstones_none() {
        let wrapped = format!("{{\"schema\":{{\"type\":\"struct\"}},\"payload\":{CREATED}}}");
        let removed = r#"{"before":{"id":1},"after":null,"op":"d"}"#;
        let values = [Some(CREATED), Some(&wrapped), Some(removed), None, Some("{\"schema\":null,\"payload\":null}")];
        let (rows, records) = decode(&values).unwrap();
        let created = "c|~|{id: 1, name: a}|2023-11-14T22:13:20.123Z";
        assert_eq!(rows, [created, created, "d|{id: 1, name: ~}|~|~"]);
        assert_eq!(records, [0, 1, 2]);
    }

    #[test]
    fn what_is_no_event_is_told() {
        assert!(decode(&[Some("{\"id\":1}")]).unwrap_err().contains("no change event of Debezium"));
        let error = ArrowError::JsonError(String::new());
        let bad = changes().explain(b"{\"op\":\"c\",\"after\":{\"id\":\"x\"}}", &error);
        assert_eq!(bad.column.as_deref(), Some("after"));
    }

    #[test]
    fn what_rows_have_and_no_column_takes_is_counted_and_what_events_tell_besides_is_not() {
        let mut changes = changes();
        let event = r#"{"op":"c","after":{"id":1,"more":1},"ts_ms":1,"transaction":null}"#;
        changes.decode(&BinaryArray::from_iter_values([event.as_bytes()])).unwrap();
        let ignored: Vec<_> = changes.take_ignored().members().collect();
        assert_eq!(ignored, [("after.more".to_owned(), 1)]);
    }
}
