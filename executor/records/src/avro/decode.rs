//! Bytes of Avro to rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_avro::reader::Decoder;
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use flowc_platform::guarded;

use super::columns::{columns, decoder, native, said};
use super::values::to_column;
use crate::fault::{Fault, SchemaError};
use crate::schemas::SchemaById;

/// What records of a registry begin with: a zero, and the id of their schema.
const PREFIX: usize = 5;

/// Decodes records that were written in one or several schemas into rows of one.
pub struct AvroDecoder {
    /// The schema of the rows, as JSON.
    schema: String,
    /// By their ids, the schemas in which records were written; none if records have no id, and were written in that of the rows.
    schemas: Option<Arc<dyn SchemaById>>,
    /// The columns that are read, as `arrow-avro` has them.
    native: SchemaRef,
    /// The same, as they are given out: each once.
    read: SchemaRef,
    /// Which of the schema's fields these are.
    fields: Vec<usize>,
    /// The columns that were asked for, of those that are read.
    columns: Vec<usize>,
    /// By ids of schemas. Dropped after a fault: a record that was read in part is in them.
    decoders: HashMap<u32, Decoder>,
    frame: Vec<u8>,
}

impl AvroDecoder {
    /// A decoder of some of the columns of a schema.
    ///
    /// # Errors
    /// If the schema has no columns.
    pub fn new(schema: &str, schemas: Option<Arc<dyn SchemaById>>, projection: &[usize]) -> Result<Self, SchemaError> {
        let (all, native) = (columns(schema)?, native(schema)?);
        let mut fields: Vec<usize> = Vec::new();
        for column in projection.iter().chain(projection.is_empty().then_some(&0)) {
            if !fields.contains(column) {
                fields.push(*column);
            }
        }
        let place = |column: &usize| fields.iter().position(|field| field == column);
        let columns = projection.iter().filter_map(place).collect();
        let of = |schema: &SchemaRef| schema.project(&fields).map(Arc::new);
        let invalid = |error: ArrowError| SchemaError::Invalid { format: "Avro", reason: said(&error) };
        let (native, read) = (of(&native).map_err(invalid)?, of(&all).map_err(invalid)?);
        let (decoders, frame) = (HashMap::new(), Vec::new());
        Ok(Self { schema: schema.to_owned(), schemas, native, read, fields, columns, decoders, frame })
    }

    /// A row per value, of nulls where there is none.
    ///
    /// # Errors
    /// If one of the values is no record of the schema, or the registry does not answer.
    pub fn decode(&mut self, values: &BinaryArray) -> Result<RecordBatch, Fault> {
        let decoded = guarded(|| self.decode_rows(values)).unwrap_or_else(|panic| Err(Fault::Record(panic)));
        if decoded.is_err() {
            self.decoders.clear();
        }
        decoded
    }

    fn decode_rows(&mut self, values: &BinaryArray) -> Result<RecordBatch, Fault> {
        // Which decoder has the row of each value, and where.
        let mut ids: Vec<u32> = Vec::new();
        let mut places: Vec<Option<(usize, usize)>> = Vec::with_capacity(values.len());
        let mut counts: Vec<usize> = Vec::new();
        for value in values {
            let Some(value) = value else {
                places.push(None);
                continue;
            };
            let (id, body) = self.split(value)?;
            let batch = match ids.last() == Some(&id) {
                true => ids.len() - 1,
                false => match ids.iter().position(|known| *known == id) {
                    Some(batch) => batch,
                    None => {
                        self.prepare(id)?;
                        ids.push(id);
                        counts.push(0);
                        ids.len() - 1
                    }
                },
            };
            self.push(id, body)?;
            places.push(Some((batch, counts[batch])));
            counts[batch] += 1;
        }
        let batches = ids.iter().map(|id| self.flush(*id)).collect::<Result<Vec<_>, _>>()?;
        self.gather(&batches, &places)
    }

    /// The id of a record's schema, and the record without it.
    fn split<'v>(&self, value: &'v [u8]) -> Result<(u32, &'v [u8]), Fault> {
        if self.schemas.is_none() {
            return Ok((0, value));
        }
        match value.split_first_chunk::<PREFIX>() {
            Some(([0, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
            Some(([first, ..], _)) => Err(Fault::record(format!(
                "it does not begin with the id of a schema: its first byte is {first}, not 0"
            ))),
            None => Err(Fault::record("it is too short for the id of a schema")),
        }
    }

    /// Makes sure that there is a decoder for an id.
    fn prepare(&mut self, id: u32) -> Result<(), Fault> {
        if self.decoders.contains_key(&id) {
            return Ok(());
        }
        let written: Arc<str> = match &self.schemas {
            None => self.schema.as_str().into(),
            Some(schemas) => schemas
                .schema(id)?
                .ok_or_else(|| Fault::record(format!("the registry has no schema with the id {id}")))?,
        };
        let unresolved = |error: SchemaError| {
            let reason = match error {
                SchemaError::Invalid { reason, .. } => reason,
                other => other.to_string(),
            };
            Fault::record(format!(
                "schema {id}, in which it was written, does not resolve to the schema that is read: {reason}"
            ))
        };
        native(&written).map_err(unresolved)?;
        let made = decoder(id, &written, &self.schema, Some(&self.fields)).map_err(unresolved)?;
        self.decoders.insert(id, made);
        Ok(())
    }

    fn push(&mut self, id: u32, body: &[u8]) -> Result<(), Fault> {
        let Some(decoder) = self.decoders.get_mut(&id) else { return Err(Fault::record("its schema is not known")) };
        self.frame.clear();
        self.frame.push(0);
        self.frame.extend_from_slice(&id.to_be_bytes());
        self.frame.extend_from_slice(body);
        let before = decoder.capacity();
        let taken = decoder.decode(&self.frame).map_err(|error| Fault::record(described(&error.into())))?;
        match before - decoder.capacity() {
            0 => Err(Fault::record("it ends in the middle of a value")),
            1 if taken == self.frame.len() => Ok(()),
            _ => Err(Fault::record("bytes follow the record's last value")),
        }
    }

    fn flush(&mut self, id: u32) -> Result<RecordBatch, Fault> {
        let decoder = self.decoders.get_mut(&id).ok_or_else(|| Fault::record("its schema is not known"))?;
        let batch = decoder.flush().map_err(|error| Fault::record(described(&error.into())))?;
        batch.ok_or_else(|| Fault::record("no rows were decoded"))
    }

    /// The rows in the order of their records.
    fn gather(&self, batches: &[RecordBatch], places: &[Option<(usize, usize)>]) -> Result<RecordBatch, Fault> {
        let gathered = |column: usize| -> Result<ArrayRef, ArrowError> {
            let (native, target) = (self.native.field(column), self.read.field(column).data_type());
            let parts: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(column)).collect();
            let array = match &parts[..] {
                [] => arrow_array::new_null_array(native.data_type(), 0),
                [only] => (*only).clone(),
                several => {
                    let parts: Vec<&dyn Array> = several.iter().map(|part| part.as_ref()).collect();
                    let order: Vec<(usize, usize)> = places.iter().copied().flatten().collect();
                    interleave(&parts, &order)?
                }
            };
            let array = to_column(&array, native, target)?;
            if places.iter().all(Option::is_some) {
                return Ok(array);
            }
            let mut next = 0u64..;
            let rows = places.iter().map(|place| place.and_then(|_| next.next()));
            take(&array, &UInt64Array::from_iter(rows), None)
        };
        let build = || -> Result<RecordBatch, ArrowError> {
            let columns = (0..self.fields.len()).map(gathered).collect::<Result<Vec<_>, _>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
            let read = RecordBatch::try_new_with_options(self.read.clone(), columns, &options)?;
            let columns = self.columns.iter().map(|&column| read.column(column).clone()).collect();
            let schema = Arc::new(read.schema().project(&self.columns)?);
            RecordBatch::try_new_with_options(schema, columns, &options)
        };
        build().map_err(|error| Fault::record(said(&error)))
    }
}

/// What is wrong with a record, in words of records.
fn described(error: &ArrowError) -> String {
    let said = said(error);
    let is_cut = said.contains("Unexpected EOF") || said.contains("bad varint") || said.contains("EOF");
    if is_cut { "it ends in the middle of a value, or is none of the schema".to_owned() } else { said }
}
