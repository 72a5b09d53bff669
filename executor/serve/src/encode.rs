//! Batches as Flight messages that no client refuses for their size.

use arrow_array::RecordBatch;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, Schema};

use crate::results::StoredRows;

/// The most bytes of a batch, unless one row has more. Clients in Go refuse messages of 16 MiB, unless they are told otherwise.
const LARGEST: usize = 12 << 20;

/// Encodes the batches of one stream. Dictionaries are sent as such, again where they change.
pub(crate) struct Encoder {
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
}

impl Encoder {
    /// An encoder, and the message that a stream begins with.
    pub(crate) fn new(schema: &Schema) -> (Self, FlightData) {
        let (options, context) = (IpcWriteOptions::default(), IpcWriteContext::default());
        let mut dictionaries = DictionaryTracker::new(false);
        // It gives the dictionaries of the schema their numbers, in the same order as the generator does for batches.
        IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options);
        let begin = FlightData::from(SchemaAsIpc::new(schema, &options));
        (Self { options, dictionaries, context }, begin)
    }

    /// The messages of a batch, with the dictionaries that it needs.
    ///
    /// # Errors
    /// If a type can't be sent.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>, ArrowError> {
        let generator = IpcDataGenerator::default();
        let (dictionaries, rows) = generator.encode(batch, &mut self.dictionaries, &self.options, &mut self.context)?;
        let mut messages: Vec<FlightData> = dictionaries.into_iter().map(FlightData::from).collect();
        let rows = FlightData::from(rows);
        if rows.data_body.len() <= LARGEST || batch.num_rows() < 2 {
            messages.push(rows);
            return Ok(messages);
        }
        let half = batch.num_rows() / 2;
        messages.extend(self.encode(&batch.slice(0, half))?);
        messages.extend(self.encode(&batch.slice(half, batch.num_rows() - half))?);
        Ok(messages)
    }

    /// The message that rows are already; others where it is too large.
    ///
    /// # Errors
    /// If a type can't be sent.
    pub(crate) fn stored(&mut self, stored: StoredRows) -> Result<Vec<FlightData>, ArrowError> {
        let StoredRows { header, body, rows } = stored;
        if body.len() > LARGEST {
            return self.encode(&rows);
        }
        Ok(vec![FlightData::new().with_data_header(header).with_data_body(body)])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
    use arrow_flight::decode::FlightRecordBatchStream;
    use futures::{StreamExt, TryStreamExt};

    use super::*;

    fn round_trip(batch: &RecordBatch) -> (usize, Vec<RecordBatch>) {
        let (mut encoder, begin) = Encoder::new(&batch.schema());
        let mut messages = vec![begin];
        messages.extend(encoder.encode(batch).unwrap());
        let largest = messages.iter().map(|message| message.data_body.len()).max().unwrap();
        let stream = futures::stream::iter(messages).map(Ok);
        let batches = FlightRecordBatchStream::new_from_flight_data(stream).try_collect();
        (largest, tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(batches).unwrap())
    }

    #[test]
    fn large_batches_travel_in_pieces() {
        let text = "x".repeat(10_000);
        let texts = Arc::new(StringArray::from_iter_values((0..4000).map(|_| text.as_str()))) as ArrayRef;
        let kinds: DictionaryArray<arrow_array::types::Int32Type> =
            (0..4000).map(|row| if row % 2 == 0 { "even" } else { "odd" }).collect();
        let batch = RecordBatch::try_from_iter([("t", texts), ("k", Arc::new(kinds) as ArrayRef)]).unwrap();
        let (largest, pieces) = round_trip(&batch);
        assert!(largest <= LARGEST && pieces.len() > 1);
        let mut row = 0;
        for piece in &pieces {
            assert_eq!(*piece, batch.slice(row, piece.num_rows()));
            row += piece.num_rows();
        }
        assert_eq!(row, 4000);
    }

    #[test]
    fn some_rows_of_an_array_travel_without_the_others() {
        let numbers = Arc::new(Int64Array::from_iter_values(0..100_000)) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap().slice(70_000, 10);
        let (largest, pieces) = round_trip(&batch);
        assert!(largest < 1000);
        assert_eq!(pieces, [batch]);
    }
}
