//! Batches of an input as Flight messages.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_flight::{FlightData, FlightDescriptor, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use flowc_codec::{Codec, PackError};
use flowc_planner::quantity::size;
use flowc_runner::{StageFault, row_bytes};

use crate::memory::Memory;
use crate::transport::Transport;
use crate::wire::Note;

/// Encodes the batches of one stream. Dictionaries are sent as such, again where they change.
pub(crate) struct Encoder {
    schema: SchemaRef,
    codec: Option<Codec>,
    begun: bool,
    descriptor: Option<FlightDescriptor>,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    memory: Option<Arc<Memory>>,
}

impl Encoder {
    /// For a stream that starts with this descriptor, unless that was sent already.
    pub(crate) fn new(schema: SchemaRef, descriptor: Option<FlightDescriptor>, transport: &Transport) -> Self {
        let (options, context) = (IpcWriteOptions::default(), IpcWriteContext::default());
        let (codec, dictionaries) = (Codec::new(transport.serialization, &schema), DictionaryTracker::new(false));
        let memory = transport.memory.clone();
        Self { schema, codec, begun: false, descriptor, options, dictionaries, context, memory }
    }

    /// The fields of the batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What has to be sent before the first batch, if it was not yet.
    pub(crate) fn begin(&mut self) -> Option<FlightData> {
        if self.begun {
            return None;
        }
        self.begun = true;
        // It gives the dictionaries of the schema their numbers, in the same order as the generator does for batches.
        let generator = IpcDataGenerator::default();
        let options = &self.options;
        let schema = self.codec.as_ref().map_or(&self.schema, Codec::packed);
        generator.schema_to_bytes_with_dictionary_tracker(schema, &mut self.dictionaries, options);
        let schema = FlightData::from(SchemaAsIpc::new(schema, options));
        Some(FlightData { flight_descriptor: self.descriptor.take(), ..schema })
    }

    /// A batch: where it lies in shared memory, or else itself after the dictionaries that it needs.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>, EncodeError> {
        let packed = self.codec.as_mut().map(|codec| codec.pack(batch)).transpose()?;
        let batch = &compact(packed.as_ref().unwrap_or(batch))?;
        if let Some(memory) = &self.memory
            && let Some(block) = memory.lend(batch)?
        {
            let note = Note { block: Some(block), ..Note::default() };
            return Ok(vec![FlightData { app_metadata: note.write(), ..FlightData::default() }]);
        }
        let (dictionaries, batch) =
            IpcDataGenerator::default().encode(batch, &mut self.dictionaries, &self.options, &mut self.context)?;
        let messages: Vec<FlightData> = dictionaries.into_iter().chain([batch]).map(FlightData::from).collect();
        messages.iter().try_for_each(|message| expect_length(message.data_body.len(), LARGEST))?;
        Ok(messages)
    }
}

/// The most bytes of a batch: programs take messages of less than 2 GiB, some of them without a word of why not.
const LARGEST: usize = (2 << 30) - (1 << 20);

fn expect_length(bytes: usize, most: usize) -> Result<(), EncodeError> {
    if bytes <= most { Ok(()) } else { Err(EncodeError::TooLarge { bytes }) }
}

/// The same rows; some of an array of views refer to all its bytes, which would be sent with them.
fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let is_loose = |buffers: &[Buffer], column: &ArrayRef| {
        let held: usize = buffers.iter().map(Buffer::len).sum();
        held as u64 > 2 * row_bytes(column)
    };
    let column = |column: &ArrayRef| -> Option<ArrayRef> {
        match column.data_type() {
            DataType::Utf8View if is_loose(column.as_string_view().data_buffers(), column) => {
                Some(Arc::new(column.as_string_view().gc()))
            }
            DataType::BinaryView if is_loose(column.as_binary_view().data_buffers(), column) => {
                Some(Arc::new(column.as_binary_view().gc()))
            }
            _ => None,
        }
    };
    let compacted: Vec<Option<ArrayRef>> = batch.columns().iter().map(column).collect();
    if compacted.iter().all(Option::is_none) {
        return Ok(batch.clone());
    }
    let columns =
        batch.columns().iter().zip(compacted).map(|(column, compact)| compact.unwrap_or_else(|| column.clone()));
    RecordBatch::try_new(batch.schema(), columns.collect())
}

/// Why a batch is not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(
        "it takes {}, and a message has at most 2GiB; let the stage not read the column that is so large, or cut its \
         values before",
        size(*bytes as u64)
    )]
    TooLarge { bytes: usize },
}

impl EncodeError {
    /// A value that does not travel is nobody's breach of a contract; the rest is.
    pub(crate) fn fault(&self, of: &str) -> StageFault {
        let message = format!("{of}: {self}");
        match self {
            Self::Pack(PackError::Value { .. }) | Self::TooLarge { .. } => {
                StageFault::Problem { message, config_path: None }
            }
            Self::Pack(PackError::Columns(_)) | Self::Arrow(_) => StageFault::Contract(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringViewArray;

    use super::*;

    #[test]
    fn some_rows_of_views_travel_without_the_others() {
        let views = StringViewArray::from_iter_values((0..1000).map(|row| format!("{row:0100}")));
        let batch = RecordBatch::try_from_iter([("t", Arc::new(views) as ArrayRef)]).unwrap();
        let length = |batch: &RecordBatch| {
            let mut encoder = Encoder::new(batch.schema(), None, &Transport::default());
            encoder.encode(batch).unwrap().iter().map(|message| message.data_body.len()).sum::<usize>()
        };
        assert!(length(&batch) > 100_000);
        assert!(length(&batch.slice(5, 3)) < 1000);
        assert_eq!(compact(&batch.slice(5, 3)).unwrap(), batch.slice(5, 3));
    }

    #[test]
    fn what_no_message_holds_is_told() {
        assert!(expect_length(10, 10).is_ok());
        let error = expect_length(3 << 30, LARGEST).unwrap_err();
        let StageFault::Problem { message, .. } = error.fault("its input") else { panic!("{error}") };
        assert!(
            message.starts_with("its input: it takes 3GiB, and a message has at most 2GiB; let the stage"),
            "{message}"
        );
    }
}
